package access

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// desk is a Guard with a settable clock and an audit log.
type desk struct {
	*Guard
	key string
	now time.Time
	log bytes.Buffer
}

func newDesk(key string, proxies Proxies) *desk {
	d := &desk{key: key, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d.Guard = NewGuard(Config{
		Key: func() string { return d.key }, Token: "token-of-this-start", AllowLocal: true, Proxies: func() Proxies { return proxies },
		Now: func() time.Time { return d.now }, Log: slog.New(slog.NewTextHandler(&d.log, nil)),
	})
	return d
}

func request(from, bearer string) *http.Request {
	r := httptest.NewRequest("GET", "/admin/status", nil)
	r.RemoteAddr, r.Host = from, "localhost:8081"
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return r
}

func TestLocalAddressNeedsKeyIfSet(t *testing.T) {
	d := newDesk("right", nil)
	for _, from := range []string{"127.0.0.1:9", "[::1]:9", "192.0.2.1:9"} {
		_, err := d.Authenticate(request(from, ""))
		assert.ErrorIs(t, err, ErrUnauthorized)
		assert.False(t, d.AllowsLocal(request(from, "")))
		_, err = d.Authenticate(request(from, "wrong"))
		assert.ErrorIs(t, err, ErrUnauthorized)
		who, err := d.Authenticate(request(from, "right"))
		require.NoError(t, err)
		assert.Equal(t, "admin key", who.Who)
		who, err = d.Authenticate(request(from, "token-of-this-start"))
		require.NoError(t, err)
		assert.Equal(t, "local command", who.Who)
	}
}

func TestWithoutKeyOnlyLocalRequests(t *testing.T) {
	d := newDesk("", nil)
	who, err := d.Authenticate(request("127.0.0.1:9", ""))
	require.NoError(t, err)
	assert.Equal(t, Actor{"local program", "127.0.0.1"}, who)
	_, err = d.Authenticate(request("192.0.2.1:9", ""))
	assert.ErrorIs(t, err, ErrUnauthorized)
	_, err = d.SignIn(request("127.0.0.1:9", ""), "")
	assert.ErrorIs(t, err, ErrUnauthorized, "an empty key is none")
	d.key = "set while it runs"
	_, err = d.Authenticate(request("127.0.0.1:9", ""))
	assert.ErrorIs(t, err, ErrUnauthorized)

	public := NewGuard(Config{})
	_, err = public.Authenticate(request("127.0.0.1:9", ""))
	assert.ErrorIs(t, err, ErrUnauthorized, "a listener that others reach needs a key")
}

func TestWrongKeysAreLimitedPerAddress(t *testing.T) {
	d := newDesk("right", trusting(t, "10.0.0.1"))
	try := func(from, key string) error {
		_, err := d.Authenticate(request(from, key))
		return err
	}
	for range maxWrongKeys {
		require.ErrorIs(t, try("192.0.2.1:9", "wrong"), ErrUnauthorized)
	}
	var limited *LimitedError
	require.ErrorAs(t, try("192.0.2.1:77", "wrong"), &limited)
	assert.LessOrEqual(t, limited.After, wrongKeyPeriod)
	require.ErrorAs(t, try("192.0.2.1:9", "right"), &limited, "nothing is to be learned from a blocked address")
	_, err := d.SignIn(request("192.0.2.1:9", ""), "right")
	require.ErrorAs(t, err, &limited, "logins and requests count together")
	assert.NoError(t, try("192.0.2.1:9", "token-of-this-start"), "the token always opens")
	assert.NoError(t, try("192.0.2.2:9", "right"), "others are not locked out")

	d.now = d.now.Add(wrongKeyPeriod)
	require.NoError(t, try("192.0.2.1:9", "right"))
	require.NoError(t, try("192.0.2.1:9", "right"), "a right key costs nothing")
	require.ErrorIs(t, try("192.0.2.1:9", "wrong"), ErrUnauthorized)
	require.ErrorAs(t, try("192.0.2.1:9", "wrong"), &limited)

	for i := range maxWrongKeys {
		require.ErrorIs(t, try(fmt.Sprintf("[2001:db8::%x]:9", i), "wrong"), ErrUnauthorized)
	}
	require.ErrorAs(t, try("[2001:db8::ffff]:9", "wrong"), &limited, "a /64 is one client")
	require.ErrorIs(t, try("[2001:db8:0:1::1]:9", "wrong"), ErrUnauthorized)
}

func TestWrongKeysBehindProxyAreLimitedPerClient(t *testing.T) {
	d := newDesk("right", trusting(t, "10.0.0.1"))
	try := func(from, forwarded, key string) error {
		r := request(from, key)
		r.Header.Set("X-Forwarded-For", forwarded)
		_, err := d.Authenticate(r)
		return err
	}
	for i := range maxWrongKeys { // the client adds fake entries on the left
		require.ErrorIs(t, try("10.0.0.1:9", fmt.Sprintf("203.0.113.%d, 192.0.2.1", i), "wrong"), ErrUnauthorized)
	}
	var limited *LimitedError
	assert.ErrorAs(t, try("10.0.0.1:9", "203.0.113.99, 192.0.2.1", "wrong"), &limited)
	assert.NoError(t, try("10.0.0.1:9", "192.0.2.2", "right"))
	for i := range maxWrongKeys {
		require.ErrorIs(t, try("192.0.2.7:9", fmt.Sprintf("198.51.100.%d", i), "wrong"), ErrUnauthorized)
	}
	assert.ErrorAs(t, try("192.0.2.7:9", "198.51.100.99", "wrong"), &limited, "a client that is not a proxy cannot change its address")
}

func TestAttemptsAreLimited(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := attempts{now: func() time.Time { return now }}
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 3 * maxAddresses {
		require.Zero(t, a.countAttempt(addr(i)))
	}
	assert.Len(t, a.entries, maxAddresses)
	assert.Equal(t, maxAddresses, a.recent.Len())
	a.undoAttempt(addr(3*maxAddresses - 1))
	assert.Len(t, a.entries, maxAddresses-1, "a right key leaves nothing behind")
	now = now.Add(wrongKeyPeriod)
	a.countAttempt(addr(0))
	assert.Len(t, a.entries, 1, "what has passed is forgotten")
}

func TestAuditLogHasActorAndAddressButNoKey(t *testing.T) {
	d := newDesk("right-key", nil)
	var entries []Entry
	d.config.Observe = func(e Entry) { entries = append(entries, e) }
	who, err := d.Authenticate(request("192.0.2.1:9", "right-key"))
	require.NoError(t, err)
	d.Record(WithActor(t.Context(), who), "letters.replay", nil, "instance", "crm", "count", 3)
	assert.Contains(t, d.log.String(), `msg=audit action=letters.replay who="admin key" from=192.0.2.1 outcome=ok instance=crm count=3`)
	d.Record(WithActor(t.Context(), who), "letters.drop", errors.New("ana@example.com is unknown"))
	assert.Contains(t, d.log.String(), `level=WARN msg=audit action=letters.drop who="admin key" from=192.0.2.1 outcome=failed`)
	_, _ = d.SignIn(request("192.0.2.2:9", ""), "guessed-key")
	assert.Contains(t, d.log.String(), `level=WARN msg=audit action=login who=unknown from=192.0.2.2 outcome=refused`)
	_, _ = d.SignIn(request("192.0.2.2:9", ""), "right-key")
	assert.Contains(t, d.log.String(), `action=login who="admin key" from=192.0.2.2 outcome=ok`)
	require.Len(t, entries, 4)
	assert.Equal(t, Entry{Actor{"admin key", "192.0.2.1"}, "letters.replay", "ok", []any{"instance", "crm", "count", 3}}, entries[0])
	assert.Equal(t, []string{"failed", "refused", "ok"}, []string{entries[1].Outcome, entries[2].Outcome, entries[3].Outcome})
	for _, secret := range []string{"right-key", "guessed-key", "token-of-this-start", "ana@example.com"} {
		assert.NotContains(t, d.log.String(), secret)
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	header := http.Header{}
	limited := &LimitedError{After: 1500 * time.Millisecond}
	limited.SetRetryAfter(header)
	assert.Equal(t, "2", header.Get("Retry-After"))
	assert.Contains(t, limited.Error(), "in 2 s")
}

func TestGuardWithoutConfiguration(t *testing.T) {
	g := NewGuard(Config{})
	assert.False(t, g.HasKey())
	assert.Empty(t, g.Key())
	for range maxWrongKeys {
		_, err := g.Authenticate(request("127.0.0.1:9", "guessed"))
		require.ErrorIs(t, err, ErrUnauthorized)
	}
	var limited *LimitedError
	_, err := g.Authenticate(request("127.0.0.1:9", "guessed"))
	assert.ErrorAs(t, err, &limited, "the clock runs and the client is known")
}

func TestUndoOfForgottenAddressChangesNothing(t *testing.T) {
	a := attempts{now: time.Now}
	a.countAttempt(netip.MustParseAddr("192.0.2.1"))
	a.undoAttempt(netip.MustParseAddr("192.0.2.2"))
	assert.Len(t, a.entries, 1)
}

func TestNetworkOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64",
	} {
		assert.Equal(t, want, NetworkOf(netip.MustParseAddr(address)).String(), address)
	}
	assert.Equal(t, netip.Prefix{}, NetworkOf(netip.Addr{}), "clients without an address count as one")
}
