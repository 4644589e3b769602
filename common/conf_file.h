/*
 * conf_file - what is the matter with a file that smtp-relay.conf names, told with the line that names it, and
 * with what to do where it is not there.
 */
#ifndef MTATLS_CONF_FILE_H
#define MTATLS_CONF_FILE_H

#include "conf.h"
#include "fail.h"

const char *conf_file_keyword(enum conf_file);

/*
 * Puts "KEYWORD: " before what the struct says of the file, and behind it, where the file is not there (ENOENT), how
 * it is made; kind and err stay.  Always -1, so that it can end a function.
 */
int conf_file_words(enum conf_file, struct fail *);

/*
 * Likewise, with "CONF:LINE: " before all of it, or, where no line names the file, that behind it.
 */
int conf_file_failed(const struct conf *, enum conf_file, struct fail *);

#endif
