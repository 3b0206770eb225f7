// The thousand ImageNet classes in the order of torchvision's classifiers, one a line.
#pragma once

const unsigned char *pacer_imagenet_classes(void);
unsigned long pacer_imagenet_classes_length(void);
