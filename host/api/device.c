// SPDX-License-Identifier: Apache-2.0
/* device.c - include/tokentune/device.h over host/device. */
#include "host/api/internal.h"

static void publish(tt_device_info *out, const tti_device_info *i) {
    *out = (tt_device_info){.index = i->index,
                            .platform = i->platform,
                            .device = i->device,
                            .compute_units = i->compute_units,
                            .memory = i->memory,
                            .max_alloc = i->max_alloc,
                            .usable = i->usable};
    snprintf(out->name, sizeof out->name, "%s", i->name);
    snprintf(out->platform_name, sizeof out->platform_name, "%s", i->platform_name);
    snprintf(out->vendor, sizeof out->vendor, "%s", i->vendor);
    snprintf(out->driver, sizeof out->driver, "%s", i->driver);
    snprintf(out->type, sizeof out->type, "%s", i->type);
    snprintf(out->why_not, sizeof out->why_not, "%s", i->usable ? "" : i->why_not);
}

tt_status tt_device_infos(tt_device_info **list, size_t *n) {
    TT_NEED(list);
    TT_NEED(n);
    tti_device_info *found;
    size_t count, chosen;
    char note[512];
    TT_TRY(tti_device_list(&found, &count, note));
    tt_device_info *made = tti_calloc(count, sizeof *made);
    for (size_t i = 0; made && i < count; i++) publish(&made[i], &found[i]);
    if (made && count > 0 && tti_device_pick(found, count, NULL, &chosen) == TT_OK)
        made[chosen].chosen = true;
    tti_free(found);
    if (!made) return TT_E_NOMEM;
    *list = made;
    *n = count;
    return TT_OK;
}

void tt_device_infos_free(tt_device_info *list) { tti_free(list); }

tt_status tt_device_open(tt_device **out, const char *spec) {
    TT_NEED(out);
    tt_device *d = tti_calloc(1, sizeof *d);
    if (!d) return TT_E_NOMEM;
    tt_status s = tti_device_open(&d->d, spec);
    if (s != TT_OK) {
        tti_free(d);
        return s;
    }
    d->holders = 1;
    *out = d;
    return TT_OK;
}

void tti_api_device_hold(tt_device *d) { d->holders++; }

void tti_api_device_release(tt_device *d) {
    if (--d->holders > 0) return;
    tti_device_close(d->d);
    tti_free(d);
}

void tt_device_close(tt_device *d) {
    if (d) tti_api_device_release(d);
}

const char *tt_device_name(const tt_device *d) { return d ? tti_device_get_info(d->d)->name : ""; }
