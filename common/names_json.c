#include "names_json.h"

#include <string.h>

#include "json.h"

json_t *
names_json_issue(const struct issue *is, int kind)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < is->nsan; i++)
		if ((int)is->san[i].kind == kind)
			json_push(a, json_bytes(is->san[i].text, strlen(is->san[i].text)));
	return a;
}

json_t *
names_json_cert(const struct cert_names *names)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < names->n; i++)
		json_push(a, json_bytes(names->v[i], strlen(names->v[i])));
	return a;
}
