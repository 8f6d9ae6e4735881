#include "greet.h"

#include <stdio.h>

int greet(char *out, int size, const char *name) {
    int length = snprintf(out, (size_t)size, "hello, %s (greet %s)\n", name, VERSION);
    return length < size ? length : -1;
}
