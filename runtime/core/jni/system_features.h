/* What the processor can do, as far as the operating system has to be asked. */
#ifndef EDGEBERT_SYSTEM_FEATURES_H
#define EDGEBERT_SYSTEM_FEATURES_H

#include <stdint.h>

/* eb_cpu_features(), and on 64-bit Arm Linux (Android too) EB_DOTPROD where the kernel reports it. */
uint32_t system_features(void);

#endif
