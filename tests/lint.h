/* For clang-tidy only: what fail.c does, in words that an analyzer of single files understands. */
#define fail(...) (fail(__VA_ARGS__), -1)
#define fail_errno(...) (fail_errno(__VA_ARGS__), -1)
#define fail_prefix(...) (fail_prefix(__VA_ARGS__), -1)
