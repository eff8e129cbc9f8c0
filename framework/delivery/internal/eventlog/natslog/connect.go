package natslog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/landfall-dev/landfall/framework/fault"
)

// connectError says why the servers cannot be used, and what to do. The text has no password of their URLs.
func connectError(urls, credentials string, err error) error {
	reason := ""
	var wrongURL *url.Error
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		reason = file.Path + ": " + fault.FileReason(file)
	case errors.As(err, &wrongURL):
		reason = "the URL cannot be read: write nats://USER:PASSWORD@HOST:4222"
	case errors.Is(err, nats.ErrNoServers):
		reason = "no server answers: check nats.url, and that NATS runs and accepts connections from this machine"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		reason = "the server refuses this user: check the user and the password in nats.url, or nats.credentials"
	case errors.Is(err, nats.ErrSecureConnRequired):
		reason = "the server requires TLS: write tls:// instead of nats://"
	case errors.Is(err, nats.ErrSecureConnWanted):
		reason = "the server does not use TLS: write nats:// instead of tls://"
	case errors.Is(err, nats.ErrNoInfoReceived):
		reason = "what answers is not a NATS server: check the port in nats.url"
	default:
		reason = cmp.Or(fault.NetworkReason(err), strings.TrimPrefix(err.Error(), "nats: "))
	}
	if credentials != "" {
		credentials = " with the credentials of " + credentials
	}
	return fmt.Errorf("connecting to NATS at %s%s: %w", publicURLs(urls), credentials, &reasonError{reason, err})
}

// reasonError is an error with another text.
type reasonError struct {
	text  string
	cause error
}

func (e *reasonError) Error() string { return e.text }
func (e *reasonError) Unwrap() error { return e.cause }

// publicURLs returns URLs without users and passwords.
func publicURLs(urls string) string {
	var hosts []string
	for one := range strings.SplitSeq(urls, ",") {
		one = strings.TrimSpace(one)
		scheme, rest, ok := strings.Cut(one, "://")
		if !ok {
			scheme, rest = "nats", one
		}
		hosts = append(hosts, scheme+"://"+rest[strings.LastIndexByte(rest, '@')+1:])
	}
	return strings.Join(hosts, ", ")
}
