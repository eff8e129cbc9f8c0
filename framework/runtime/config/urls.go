package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// sslModes are the values of sslmode in a URL of PostgreSQL.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// natsSchemes are the schemes of a NATS server's URL; it can also have none.
var natsSchemes = []string{"nats", "tls", "ws", "wss"}

// checkStateURL says what is wrong with the URL of the state, or "". The text never contains the URL, which has a password.
func checkStateURL(text string) string {
	scheme, _, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return ""
	case !ok:
		return "should be a URL such as postgres://USER:PASSWORD@HOST:PORT/DATABASE, or be left out for the state in the data directory"
	case scheme != "postgres" && scheme != "postgresql":
		return fmt.Sprintf("should begin with postgres:// but begins with %s://: the state can be in PostgreSQL, or in the data directory if state.url is left out", scheme)
	}
	u, err := url.Parse(text)
	if err != nil {
		return "cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password percent-encoded"
	}
	if mode := u.Query().Get("sslmode"); mode != "" && !slices.Contains(sslModes, mode) {
		return fmt.Sprintf("has the unknown sslmode %q: it should be one of %s", mode, strings.Join(sslModes, ", "))
	}
	return checkHosts(u.Host)
}

// checkNATSURL says what is wrong with the URLs of NATS servers, which are separated by commas, or "".
func checkNATSURL(text string) string {
	if text != "" && strings.Trim(text, ", ") == "" {
		return "names no host: write nats://HOST:4222"
	}
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		switch {
		case err != nil:
			return "cannot be read: write nats://USER:PASSWORD@HOST:4222, several with commas between them, and special characters of the password percent-encoded"
		case !slices.Contains(natsSchemes, u.Scheme):
			return fmt.Sprintf("should begin with nats:// or tls:// but begins with %s://", u.Scheme)
		case u.Hostname() == "":
			return "names no host: write nats://HOST:4222"
		}
		if problem := checkHosts(u.Host); problem != "" {
			return problem
		}
	}
	return ""
}

// checkHosts checks the ports of hosts that are separated by commas.
func checkHosts(hosts string) string {
	for host := range strings.SplitSeq(hosts, ",") {
		_, port, ok := strings.Cut(host[strings.LastIndexByte(host, ']')+1:], ":")
		if number, err := strconv.Atoi(port); ok && (err != nil || number < 1 || number > 65535) {
			return fmt.Sprintf("has the port %q: it should be a number from 1 to 65535", port)
		}
	}
	return ""
}
