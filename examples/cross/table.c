/* Prints the words of a file with their lengths and a checksum each, sorted as they come. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: table FILE\n");
        return 2;
    }
    FILE *words = fopen(argv[1], "r");
    if (!words) {
        perror(argv[1]);
        return 1;
    }
    char word[256];
    while (fscanf(words, "%255s", word) == 1) {
        uint32_t sum = 2166136261u;
        for (const char *at = word; *at; at++)
            sum = (sum ^ (unsigned char)*at) * 16777619u;
        printf("%s %zu %08x\n", word, strlen(word), (unsigned)sum);
    }
    fclose(words);
    return 0;
}
