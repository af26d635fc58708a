// SPDX-License-Identifier: Apache-2.0
// broken.cl - does not build; the test looks for its name, line and the undeclared word.
#include "probe.clh"

kernel void broken(global float *y) { y[0] = no_such_word; }
