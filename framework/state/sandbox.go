package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// SandboxName returns the name of the sandbox that requests go to: "" if they go to real remotes, "sandbox" for the one in this
// process, and a name made of the host for one at a URL.
func SandboxName(inProcess bool, address string) string {
	switch {
	case address != "":
		host := address
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			host = strings.ToLower(u.Host)
		}
		return "sandbox-" + plainName(host)
	case inProcess:
		return "sandbox"
	}
	return ""
}

// plainName replaces what is not a letter, a digit, a dot or a hyphen, so that the result can be part of a file name.
func plainName(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, text)
}

// File returns the name of the SQLite file of a sandbox in a data directory; that of real remotes for "".
func File(sandbox string) string {
	if sandbox == "" {
		return FileName
	}
	return strings.TrimSuffix(FileName, ".db") + "-" + sandbox + ".db"
}

// maxSchema is how many bytes of a name PostgreSQL keeps.
const maxSchema = 63

// schemaOf returns the PostgreSQL schema of a sandbox.
func schemaOf(sandbox string) string {
	name := "landfall_" + strings.ToLower(strings.NewReplacer("-", "_", ".", "_").Replace(sandbox))
	if len(name) > maxSchema {
		sum := sha256.Sum256([]byte(name))
		name = name[:maxSchema-9] + "_" + hex.EncodeToString(sum[:4])
	}
	return name
}

// openPostgres opens a database, in the schema that the URL says for real remotes and in one of its own for a sandbox.
func openPostgres(ctx context.Context, place, sandbox string) (*Store, error) {
	if sandbox == "" {
		return open(ctx, postgres, place)
	}
	u, err := url.Parse(place)
	if err != nil {
		return nil, fmt.Errorf("the state's URL cannot be read: it should look like postgres://user:password@host/database")
	}
	schema := schemaOf(sandbox)
	parameters := u.Query()
	parameters.Set("search_path", schema)
	u.RawQuery = parameters.Encode()
	d := postgres
	d.lockSchema = append(slices.Clone(d.lockSchema), `CREATE SCHEMA IF NOT EXISTS "`+schema+`"`)
	return open(ctx, d, u.String())
}
