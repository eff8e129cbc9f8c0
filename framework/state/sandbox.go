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

// SandboxName returns the name of the sandbox that requests go to: "" for real destinations, "sandbox" for the sandbox in this process,
// and a name derived from the host for a sandbox at a URL.
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

// plainName replaces every character that is not a letter, digit, dot or hyphen, so that the result can be part of a file name.
func plainName(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, text)
}

// File returns the name of the SQLite file in a data directory: that of a sandbox, or that of the real destinations for "".
func File(sandbox string) string {
	if sandbox == "" {
		return FileName
	}
	return strings.TrimSuffix(FileName, ".db") + "-" + sandbox + ".db"
}

// maxSchema is the number of bytes that PostgreSQL keeps of a name.
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

// openPostgres opens a database: in the URL's schema for real destinations, and in a separate schema for a sandbox.
func openPostgres(ctx context.Context, location, sandbox string) (*Store, error) {
	d, source, err := postgresOf(location, sandbox)
	if err != nil {
		return nil, err
	}
	return openStore(ctx, d, source)
}

// postgresOf returns the dialect and the URL for the state of a sandbox in a database; of real destinations if sandbox is "".
func postgresOf(location, sandbox string) (d dialect, source string, err error) {
	if sandbox == "" {
		return postgres, location, nil
	}
	u, err := url.Parse(location)
	if err != nil {
		return d, "", fmt.Errorf("the URL of the state is invalid: it should look like postgres://user:password@host/database")
	}
	schema := schemaOf(sandbox)
	parameters := u.Query()
	parameters.Set("search_path", schema)
	u.RawQuery = parameters.Encode()
	d = postgres
	d.lockSchema = append(slices.Clone(d.lockSchema), `CREATE SCHEMA IF NOT EXISTS "`+schema+`"`)
	return d, u.String(), nil
}
