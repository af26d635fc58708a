// SPDX-License-Identifier: Apache-2.0
/* quantised_internal.h - what the parts of a quantised weight are called: endings of its name. */
#ifndef TT_HOST_FORMAT_QUANTISED_INTERNAL_H
#define TT_HOST_FORMAT_QUANTISED_INTERNAL_H

#define TTI_QUANT_ABSMAX ".absmax"
#define TTI_QUANT_MAP ".quant_map"
#define TTI_QUANT_NESTED ".nested_absmax"
#define TTI_QUANT_NESTED_MAP ".nested_quant_map"
#define TTI_QUANT_Q8_SCALES ".q8_scales"
#define TTI_QUANT_STATE_NF4 ".quant_state.bitsandbytes__nf4"
#define TTI_QUANT_STATE_FP4 ".quant_state.bitsandbytes__fp4"
#define TTI_QUANT_STATE_Q8 ".quant_state.tokentune__q8"

#endif
