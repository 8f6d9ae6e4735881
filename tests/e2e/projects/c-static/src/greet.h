/* Writes a greeting for `name` into `out`; returns its length, or -1 when it does not fit. */
int greet(char *out, int size, const char *name);
