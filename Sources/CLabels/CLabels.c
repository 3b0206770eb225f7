#include "CLabels.h"

static const unsigned char classes[] = {
#embed "imagenet_classes.txt"
};

const unsigned char *pacer_imagenet_classes(void) { return classes; }
unsigned long pacer_imagenet_classes_length(void) { return sizeof classes; }
