package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// defaultAdmin is where the admin API is if nobody says anything else.
const defaultAdmin = "127.0.0.1:9900"

// adminOf is what the table [admin] of a configuration file says: where the API
// listens and the file of its token. Both are empty without the table.
func adminOf(file string) (listen, tokenFile string, err error) {
	cfg, err := load(file)
	if err != nil || cfg.Admin == nil {
		return "", "", err
	}
	return cfg.Admin.Listen, cfg.Admin.TokenFile, nil
}

// whereFlags are the flags that say where the admin API is.
type whereFlags struct {
	admin, config, tokenFile string

	// fall is told where a configuration that nobody named can't be used, and the
	// default address is asked instead. Nil: that is an error.
	fall func(warning string)
}

func (w *whereFlags) register(flags *flag.FlagSet) {
	flags.StringVar(&w.admin, "admin", "", "")
	flags.StringVar(&w.config, "c", "", "")
	flags.StringVar(&w.tokenFile, "token-file", "", "")
}

// client makes the client for the API that the flags, the environment and the
// configuration name, in this order. A token from a configuration goes to no
// address but the one beside it, unless -c says that they belong together.
func (w *whereFlags) client(command string) (*client, error) {
	address, source := firstOf(w.admin, "--admin", os.Getenv("FAIRLEAD_ADMIN"), "FAIRLEAD_ADMIN")
	tokenFile, _ := firstOf(w.tokenFile, "", os.Getenv("FAIRLEAD_TOKEN_FILE"), "")
	if file := w.file(address == ""); file != "" {
		listen, itsToken, err := adminOf(file)
		if err != nil && w.config == "" && w.fall != nil {
			w.fall(fmt.Sprintf("%s can't be used, so where the admin API is was not read from it, and the default is asked, %s; \"fairlead check\" says what is wrong", file, defaultAdmin))
		} else if err != nil {
			// %v, since of an error that wraps config.Problems only those are printed.
			return nil, fmt.Errorf("%s can't be used, and where the admin API is was to be read from it:\n%v\n"+
				"Mend it, or name the address with --admin or FAIRLEAD_ADMIN", file, err)
		}
		if address == "" && listen != "" {
			address, source = listen, "admin.listen of "+file
		}
		if tokenFile == "" {
			tokenFile = itsToken
		}
	}
	if address == "" {
		address, source = defaultAdmin, "the default"
	}
	c, err := newClient(address)
	if err != nil {
		return nil, &usageError{command, source + ": " + err.Error()}
	}
	c.source = source
	if tokenFile != "" {
		if c.token, err = readToken(tokenFile); err != nil {
			return nil, err
		}
		c.tokenSource = tokenFile
	}
	return c, nil
}

// file is the configuration to read, "" for none. Only -c makes one count whose
// address is not wanted.
func (w *whereFlags) file(wanted bool) string {
	const usual = "fairlead.toml"
	if w.config != "" {
		return w.config
	}
	if _, err := os.Stat(usual); err == nil && wanted {
		return usual
	}
	return ""
}

func firstOf(a, nameA, b, nameB string) (value, name string) {
	switch {
	case a != "":
		return a, nameA
	case b != "":
		return b, nameB
	}
	return "", ""
}

// readToken reads the file of a token: one line.
func readToken(file string) (string, error) {
	const limit = 4096
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return "", fmt.Errorf("the token: %w\nRun the command as a user who may read that file, or name another with --token-file", err)
		}
		return "", fmt.Errorf("the token: %w\nName its file with --token-file or FAIRLEAD_TOKEN_FILE", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", fmt.Errorf("the token: %w", err)
	}
	token := string(bytes.TrimSpace(text))
	strange := func(r rune) bool { return r <= ' ' || r >= 0x7f }
	if token == "" || len(text) > limit || strings.ContainsFunc(token, strange) {
		return "", fmt.Errorf("the token: %s holds none: it must be one line of at most %d ASCII characters without spaces", file, limit)
	}
	return token, nil
}
