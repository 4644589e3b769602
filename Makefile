# GNU make.  `make help` lists the targets; HACKING.md tells how the tree is laid out.
MAKEFLAGS += --no-builtin-rules
SHELL = /bin/sh
PREFIX ?= /usr/local
DESTDIR ?=
CC = cc
AR = ar
PKG_CONFIG ?= pkg-config

# The programs, and for each the tiers of common/ it stands on and what it links beyond them.
TOOLS = mkcert csrgen certstore p12import p12export castore tlsa-gen tlscheck smtp-relay relayq
TIERS_mkcert = CRYPTO BASE
TIERS_csrgen = CRYPTO BASE
TIERS_certstore = MAIL NET WIRE CRYPTO BASE
TIERS_p12import = CRYPTO BASE
TIERS_p12export = CRYPTO BASE
TIERS_castore = MAIL CRYPTO BASE
TIERS_tlsa-gen = MAIL NET WIRE CRYPTO BASE
TIERS_relayq = MAIL NET WIRE CRYPTO BASE
TIERS_tlscheck = MAIL NET WIRE CRYPTO BASE
TIERS_smtp-relay = MAIL NET WIRE CRYPTO BASE

# What a tier links, behind libc, which has some of libbsd itself; --as-needed drops what a program does not reach.
PKGS_BASE = jansson libbsd libseccomp
PKGS_CRYPTO = openssl libidn2
PKGS_NET = libevent_core ldns
LIBS_NET = -lunbound
PKGS_MAIL = zlib libcrypt
PKGS = $(PKGS_BASE) $(PKGS_CRYPTO) $(PKGS_NET) $(PKGS_MAIL)

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wsign-compare -Wformat=2 \
	-Wpointer-arith -Wvla -Wundef
HARDEN = -fPIE -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2
HARDEN_LD = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
CFLAGS ?= -O2 -g
SAN =
BUILD = build
BIN = bin

ifneq ($(filter asan,$(MAKECMDGOALS)),)
SAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HARDEN = -fPIE
CFLAGS = -O1 -g
BUILD = build/asan
BIN = build/asan/bin
export ASAN_OPTIONS = detect_leaks=1:abort_on_error=0:exitcode=99
export UBSAN_OPTIONS = print_stacktrace=1:exitcode=99
endif

MODULES_OF = $(shell awk '$$1 == "$(1)" { for (i = 3; i <= NF; i++) print $$i }' common/TIERS)
ALL_TIERS = $(shell awk '/^[A-Z]/ { print $$1 }' common/TIERS)
$(foreach t,$(ALL_TIERS),$(eval MODULES_$(t) := $(call MODULES_OF,$(t))))

# What needs no compiler must work where the libraries are not installed yet.
ifneq ($(filter-out clean deps help,$(or $(MAKECMDGOALS),all)),)
PC_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
endif
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -iquote common $(PC_CFLAGS) $(WARN) $(CFLAGS) $(HARDEN) $(SAN)
pc_libs = $(if $(1),$(shell $(PKG_CONFIG) --libs $(1)))
tier_libs = $(foreach t,$(1),$(LIBS_$(t))) $(call pc_libs,$(foreach t,$(1),$(PKGS_$(t))))

TIERS_UNIT = MAIL NET WIRE CRYPTO BASE
UNIT_SRC = $(wildcard tests/unit/*.c)
UNITS = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
PRELOADS = faults clock probe
AIDS_SRC = $(filter-out $(PRELOADS:%=tests/lab/%.c),$(wildcard tests/lab/*.c))
AIDS = $(patsubst tests/lab/%.c,$(BUILD)/lab/%,$(AIDS_SRC)) $(PRELOADS:%=$(BUILD)/lab/%.so) $(BUILD)/dnsask
BENCH_AIDS = $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
HARNESSES = $(patsubst tests/fuzz/%.c,$(BUILD)/harness/%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
PROGRAMS = $(addprefix $(BIN)/,$(TOOLS))
MANPAGES = $(wildcard man/*.[1-8])

.PHONY: all help deps check soak unit demo bench asan lint fuzz harnesses install install-sendmail uninstall clean distclean aids
.DELETE_ON_ERROR:

all: $(PROGRAMS)

help:
	@echo 'all      build the programs into bin/ (the default)'
	@echo 'demo     set up, build, and show the main job on loopback'
	@echo 'check    set up, build, and pass all tests'
	@echo 'deps     install what is missing (as root), or say what to install'
	@echo 'bench    measure against the tools of others'
	@echo 'lint     clang-tidy, cppcheck, mandoc -Tlint, shellcheck'
	@echo 'asan     build with address and undefined-behaviour sanitizers (make asan check: and test)'
	@echo 'soak     the tests that kill and crash the relay, for as long as it takes: about half an hour'
	@echo 'fuzz     run each fuzz harness (or FUZZ="NAME ...") over its corpus and for FUZZ_SECONDS more,'
	@echo '         with FUZZ_ENGINE libfuzzer (the default) or afl (AFL++)'
	@echo 'install  into DESTDIR and PREFIX; uninstall takes it away'
	@echo 'install-sendmail  the names sendmail, mailq and newaliases for it, where nothing else has them'
	@echo 'clean    remove what was built; distclean also the peers that deps fetched'

# Rebuild all when the compiler or its flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@printf '%s\n' '$(CC) $(ALL_CFLAGS) $(HARDEN_LD)' > $@.new
	@cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# What tlscheck loads when it is called, by the names of the libraries that it is built against (lazy.c).
LAZY = unbound ldns idn2 jansson
soname = $(shell readelf -d "$$($(CC) -print-file-name=lib$(1).so)" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')
$(BUILD)/cmd/tlscheck/lazy.o: ALL_CFLAGS += $(foreach l,$(LAZY),-DSONAME_$(l)='"$(call soname,$(l))"')

define tier_rule
$(BUILD)/lib$(1).a: $(patsubst %,$(BUILD)/common/%.o,$(MODULES_$(1)))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach t,$(ALL_TIERS),$(eval $(call tier_rule,$(t))))

define tool_rule
$(BIN)/$(1): $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/$(1)/*.c)) \
    $(patsubst %,$(BUILD)/lib%.a,$(TIERS_$(1)))
	@mkdir -p $(BIN)
	$$(CC) $$(CFLAGS) $$(SAN) $$(HARDEN_LD) -o $$@ $$^ -lc $$(call tier_libs,$$(TIERS_$(1)))
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rule,$(t))))

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(patsubst %,$(BUILD)/lib%.a,$(TIERS_UNIT))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(HARDEN_LD) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(call tier_libs,$(TIERS_UNIT))

# The records between the relay's roles, and one end of the sockets that they go through.
$(BUILD)/unit/channel: $(patsubst %,$(BUILD)/cmd/smtp-relay/%.o,channel order)
$(BUILD)/unit/record: $(patsubst %,$(BUILD)/cmd/smtp-relay/%.o,order pack tried)

# The plans that the queue keeps; the TLS sessions that an out does.
$(BUILD)/unit/plans: $(BUILD)/cmd/smtp-relay/plans.o
$(BUILD)/unit/tickets: $(BUILD)/cmd/smtp-relay/tickets.o

# How long a role that does nothing is waited for.
$(BUILD)/unit/patience: $(BUILD)/cmd/smtp-relay/patience.o

# What tlscheck makes of evidence.
$(BUILD)/unit/evidence: $(patsubst %,$(BUILD)/cmd/tlscheck/%.o,advice answer cas evidence evidence-put \
    evidence-read judge levels monitor)

# The lab's own programs judge ours: they share no code with common/.
$(BUILD)/lab/%: tests/lab/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(HARDEN_LD) -o $@ $< $(call pc_libs,openssl)

# Asks through common/dns, for the lab to be compared with.
$(BUILD)/dnsask: $(BUILD)/tests/dnsask.o $(patsubst %,$(BUILD)/lib%.a,$(TIERS_UNIT))
	$(CC) $(CFLAGS) $(SAN) $(HARDEN_LD) -o $@ $^ $(call tier_libs,$(TIERS_UNIT))

# To be loaded before libc into any program: without the sanitizers, whose run time wants to come first.
$(BUILD)/lab/%.so: tests/lab/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE $(SAN),$(ALL_CFLAGS)) -fPIC -shared -MMD -MP -MF $@.d -o $@ $<

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(patsubst %,$(BUILD)/lib%.a,$(TIERS_UNIT))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(HARDEN_LD) -o $@ $^ $(call tier_libs,$(TIERS_UNIT))

# A fuzz harness: with libFuzzer where `make fuzz` says so, otherwise it replays files.
FUZZ_MAIN = $(BUILD)/tests/fuzz/replay.o
FUZZ_LD =
$(BUILD)/harness/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_MAIN) $(patsubst %,$(BUILD)/lib%.a,$(TIERS_UNIT))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(FUZZ_LD) $(HARDEN_LD) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(call tier_libs,$(TIERS_UNIT))

$(BUILD)/harness/record: $(patsubst %,$(BUILD)/cmd/smtp-relay/%.o,order pack tried)
$(BUILD)/harness/evidence: $(patsubst %,$(BUILD)/cmd/tlscheck/%.o,advice answer cas evidence evidence-put \
    evidence-read judge levels)
$(BUILD)/harness/tlsa_file: $(BUILD)/cmd/tlscheck/offline.o $(BUILD)/cmd/tlscheck/evidence.o $(BUILD)/cmd/tlscheck/tlsa-file.o

unit: $(UNITS)
harnesses: $(HARNESSES)
aids: $(AIDS) $(HARNESSES)
asan: all

deps:
	@sh tests/lab/deps

check: deps
	@$(MAKE) --no-print-directory $(filter asan,$(MAKECMDGOALS)) all unit aids
	@BIN='$(CURDIR)/$(BIN)' BUILD='$(CURDIR)/$(BUILD)' bash tests/run

demo: deps
	@$(MAKE) --no-print-directory all aids
	@BIN='$(CURDIR)/$(BIN)' BUILD='$(CURDIR)/$(BUILD)' bash tests/lab/demo

bench: deps
	@$(MAKE) --no-print-directory all aids $(BENCH_AIDS)
	@BIN='$(CURDIR)/$(BIN)' BUILD='$(CURDIR)/$(BUILD)' bash tests/bench/run

lint: deps
	@CFLAGS='$(filter-out -fstack-clash-protection,$(ALL_CFLAGS))' sh tests/lint

# Five minutes of kills for those that receive, ten for those that deliver.
soak: deps
	@$(MAKE) --no-print-directory all unit aids
	@RELAY_CRASH_SECONDS=100 RELAY_KILL_ROUNDS=15 RELAY_STORM_SECONDS=600 RUN_SECONDS=7200 BIN='$(CURDIR)/$(BIN)' BUILD='$(CURDIR)/$(BUILD)' \
	    bash tests/run tests/relay-crash.bats tests/relay-deliver.bats

# Which fuzzer feeds the harnesses.  afl-clang-fast puts AFL++'s own driver where -fsanitize=fuzzer stands.
FUZZ_ENGINE ?= libfuzzer
FUZZ_CC_libfuzzer = clang
FUZZ_SAN_libfuzzer = -fsanitize=fuzzer-no-link,address,undefined
FUZZ_BUILD_libfuzzer = build/fuzz
FUZZ_CC_afl = afl-clang-fast
FUZZ_SAN_afl = -fsanitize=address,undefined
FUZZ_BUILD_afl = build/afl

fuzz:
	@sh tests/lab/deps $(FUZZ_CC_$(FUZZ_ENGINE))
	@$(MAKE) --no-print-directory CC='$(FUZZ_CC_$(FUZZ_ENGINE))' BUILD=$(FUZZ_BUILD_$(FUZZ_ENGINE)) CFLAGS='-g -O1' \
	    HARDEN=-fPIE FUZZ_MAIN= SAN='$(FUZZ_SAN_$(FUZZ_ENGINE)) -fno-sanitize-recover=undefined' \
	    FUZZ_LD=-fsanitize=fuzzer $(or $(FUZZ:%=$(FUZZ_BUILD_$(FUZZ_ENGINE))/harness/%),harnesses)
	@FUZZ_ENGINE=$(FUZZ_ENGINE) sh tests/fuzz/run $(FUZZ)

COMPLETIONS = $(foreach t,$(TOOLS),$(BUILD)/completion/bash/$(t) $(BUILD)/completion/zsh/_$(t))

$(BUILD)/completion/bash/%: $(BIN)/% $(wildcard contrib/completion/*)
	@mkdir -p $(@D)
	contrib/completion/generate bash $< > $@
$(BUILD)/completion/zsh/_%: $(BIN)/% $(wildcard contrib/completion/*)
	@mkdir -p $(@D)
	contrib/completion/generate zsh $< > $@

SHARE = $(DESTDIR)$(PREFIX)/share
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions

install: all $(COMPLETIONS)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	for m in $(MANPAGES); do \
		d=$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; \
		install -d $$d && sed 's|/usr/local/share/mtatls|$(PREFIX)/share/mtatls|g' $$m > $$d/$${m##*/} && \
		    chmod 644 $$d/$${m##*/} || exit 1; \
	done
	install -d $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(SHARE)/mtatls/acme $(SHARE)/mtatls/alerts $(SHARE)/mtatls/systemd
	install -m 644 $(addprefix $(BUILD)/completion/bash/,$(TOOLS)) $(BASH_COMPLETIONS)
	install -m 644 $(addprefix $(BUILD)/completion/zsh/_,$(TOOLS)) $(ZSH_COMPLETIONS)
	install -m 755 $(filter-out %.md,$(wildcard contrib/acme/*)) $(SHARE)/mtatls/acme
	install -m 644 contrib/acme/README.md $(SHARE)/mtatls/acme
	install -m 755 contrib/alerts/mtatls-alert $(SHARE)/mtatls/alerts
	install -m 644 contrib/systemd/mtatls.conf $(SHARE)/mtatls/systemd
	sed 's|/usr/local/bin|$(PREFIX)/bin|' contrib/systemd/mtatls-relay.service > $(SHARE)/mtatls/systemd/mtatls-relay.service
	chmod 644 $(SHARE)/mtatls/systemd/mtatls-relay.service

# The relay under the names of a sendmail: by wish alone, and never in place of what is there.
SENDMAIL_LINKS = sbin/sendmail:../bin/smtp-relay bin/mailq:smtp-relay bin/newaliases:smtp-relay \
	share/man/man8/sendmail.8:mtatls-sendmail.8

install-sendmail:
	@for l in $(SENDMAIL_LINKS); do \
		at=$(DESTDIR)$(PREFIX)/$${l%%:*}; \
		[ "$$(readlink $$at)" = $${l#*:} ] || { [ ! -e $$at ] && [ ! -L $$at ]; } || \
		    { echo "$$at is there and not ours: nothing is done" >&2; exit 1; }; \
	done
	@for l in $(SENDMAIL_LINKS); do \
		at=$(DESTDIR)$(PREFIX)/$${l%%:*}; \
		install -d $${at%/*} && ln -sfn $${l#*:} $$at || exit 1; \
	done

uninstall:
	for l in $(SENDMAIL_LINKS); do \
		at=$(DESTDIR)$(PREFIX)/$${l%%:*}; \
		[ "$$(readlink $$at)" != $${l#*:} ] || rm -f $$at; \
	done
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(TOOLS))
	for m in $(MANPAGES); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
	rm -f $(addprefix $(BASH_COMPLETIONS)/,$(TOOLS)) $(addprefix $(ZSH_COMPLETIONS)/_,$(TOOLS))
	rm -rf $(SHARE)/mtatls/acme $(SHARE)/mtatls/alerts $(SHARE)/mtatls/systemd

clean:
	rm -rf build bin

distclean: clean
	rm -rf .peers

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
