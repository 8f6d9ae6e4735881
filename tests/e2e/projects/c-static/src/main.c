#include <stdio.h>
#include <string.h>

#include "greet.h"

static int check(void) {
    char line[32];
    int short_name = greet(line, sizeof line, "x");
    char name[64];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    int long_name = greet(line, sizeof line, name);
    printf("short %d, long %d\n", short_name > 0, long_name);
    return short_name > 0 && long_name == -1 ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--check") == 0) {
        return check();
    }
    char line[256];
    if (greet(line, sizeof line, argc > 1 ? argv[1] : "nobody") < 0) {
        return 1;
    }
    fputs(line, stdout);
    return 0;
}
