/*
 * The page of `lamina inspect --html`: inspect_page.html, carried in the program as bytes, with the
 * view put where it says so. One file, no network.
 */
#include "cli_inspect.h"

#include <string.h>

static const unsigned char PAGE[] = {
#include "inspect_page.inc"
};
static const char MARK[] = "@VIEW@";

static bool drawing(const look *k, FILE *f)
{
    return look_drawing(k, f);
}

int look_html(const look *k, const char *path)
{
    const char *page = (const char *)PAGE, *mark = strstr(page, MARK);
    FILE *f = fopen(path, "w");
    if (!f) return cli_fail("%s cannot be written", path);
    if (mark) {
        (void)fwrite(page, 1, (size_t)(mark - page), f);
        look_json(k, f, drawing);
        (void)fputs(mark + sizeof MARK - 1, f);
    }
    const bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad || !mark) return cli_fail("%s cannot be written", path);
    printf("wrote %s\n", path);
    return CLI_OK;
}
