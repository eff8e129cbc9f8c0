package oauth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
)

// contended is a store in which another process is faster: before an update it runs first. getErr is the error of Get.
type contended struct {
	oauth.Store
	first  func()
	getErr error
	gets   int
}

func (c *contended) Get(ctx context.Context, instance string) (oauth.Record, error) {
	c.gets++
	if c.getErr != nil {
		return oauth.Record{}, c.getErr
	}
	return c.Store.Get(ctx, instance)
}

func (c *contended) Update(ctx context.Context, instance string, f func(context.Context, oauth.Record) (oauth.Record, error)) error {
	if first := c.first; first != nil {
		c.first = nil
		first()
	}
	return c.Store.Update(ctx, instance, f)
}

// TestAnotherProcessRefreshesFirst checks that a token which another process has refreshed, while this one waited for its turn, is used and
// not refreshed again, and that a login that became necessary in the meantime is reported.
func TestAnotherProcessRefreshesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile oauth.Token
		want      string
		requests  int
	}{
		"a good token":                 {oauth.Token{Access: "theirs", Refresh: "r1"}, "theirs", 0},
		"a refusal":                    {oauth.Token{Access: "a0", Refresh: "r0", Refused: "revoked"}, "", 0},
		"a logout":                     {oauth.Token{}, "", 0},
		"a token that expires at once": {oauth.Token{Access: "theirs", Refresh: "r1", Expires: time.Unix(1, 0)}, "a1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			e, remote, now := newEndpoint(t, refreshSpec)
			store := &contended{Store: oauth.NewMemoryStore()}
			manager := newManager(t, store)
			require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "r0", Expires: *now}))
			store.first = func() { require.NoError(t, manager.Put(t.Context(), "crm", c.meanwhile)) }
			access, err := manager.Source("crm", remote).Token(t.Context(), "")
			assert.Len(t, e.forms(), c.requests)
			if c.want == "" {
				assertLogin(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, access)
		})
	}
}

// TestTokensOfOtherProcessesAreNoticed checks that the store is read again after two seconds, not at each request.
func TestTokensOfOtherProcessesAreNoticed(t *testing.T) {
	_, remote, now := newEndpoint(t, refreshSpec)
	store := &contended{Store: oauth.NewMemoryStore()}
	manager := newManager(t, store)
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "r0"}))
	source := manager.Source("crm", remote)
	assert.Equal(t, "a0", get(t, source, ""))
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "b0", Refresh: "r0"}))
	*now = now.Add(2 * time.Second)
	assert.Equal(t, "a0", get(t, source, ""))
	assert.Equal(t, 1, store.gets)
	*now = now.Add(time.Millisecond)
	assert.Equal(t, "b0", get(t, source, ""))
	assert.Equal(t, 2, store.gets)
	*now = now.Add(-time.Hour)
	get(t, source, "")
	assert.Equal(t, 3, store.gets, "after the clock went back, the age of the token is unknown")
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "c0", Refresh: "r0"}))
	assert.Equal(t, "c0", get(t, source, "b0"), "a refused token is looked up at once")
}

// TestTheStoreCannotBeRead checks that a valid token in memory is used while the store fails, and what happens without one.
func TestTheStoreCannotBeRead(t *testing.T) {
	_, remote, now := newEndpoint(t, refreshSpec)
	store := &contended{Store: oauth.NewMemoryStore()}
	manager := newManager(t, store)
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "r0", Expires: now.Add(time.Hour)}))
	source := manager.Source("crm", remote)
	assert.Equal(t, "a0", get(t, source, ""))
	store.getErr = errors.New("the disk is gone")
	*now = now.Add(time.Minute)
	assert.Equal(t, "a0", get(t, source, ""))
	*now = now.Add(time.Hour - time.Minute - time.Nanosecond)
	assert.Equal(t, "a0", get(t, source, ""), "the last moment of the token")
	*now = now.Add(time.Minute)
	for _, refused := range []string{"", "a0"} {
		_, err := source.Token(t.Context(), refused)
		var known *fault.Error
		require.ErrorAs(t, err, &known)
		assert.Equal(t, []any{fault.CodeConnection, 503, true}, []any{known.Code, known.Status, known.Retry})
		assert.ErrorContains(t, err, "no token: the disk is gone")
		assert.ErrorIs(t, err, store.getErr)
	}
	store.getErr = nil
	assert.Equal(t, "a1", get(t, source, ""))
	store.getErr = errors.New("the disk is gone")
	*now = now.Add(time.Minute)
	_, err := source.Token(t.Context(), "a1")
	assert.Error(t, err, "a refused token is not used again")
}

// TestRefreshesAheadOfTime checks when a token is refreshed: two minutes before its end, but not before four fifths of its life.
func TestRefreshesAheadOfTime(t *testing.T) {
	for _, c := range []struct{ life, at time.Duration }{{time.Hour, 58 * time.Minute}, {10 * time.Minute, 8 * time.Minute}, {5 * time.Minute, 4 * time.Minute}} {
		for _, issued := range []string{"login", "refresh"} {
			e, remote, now := newEndpoint(t, refreshSpec)
			manager := newManager(t, oauth.NewMemoryStore())
			token := oauth.Token{Access: "a0", Refresh: "r0", Login: *now, Expires: now.Add(c.life)}
			if issued == "refresh" {
				token.Login, token.Refreshed = now.Add(-100*time.Hour), *now
			}
			require.NoError(t, manager.Put(t.Context(), "crm", token))
			*now = now.Add(c.at - time.Second)
			assert.Equal(t, "a0", get(t, manager.Source("crm", remote), ""), "%s since the %s", c.life, issued)
			*now = now.Add(time.Second)
			assert.Equal(t, "a1", get(t, manager.Source("crm", remote), ""), "%s since the %s", c.life, issued)
			assert.Len(t, e.forms(), 1)
		}
	}
}

// TestTokensThatCannotBeRefreshed checks that a token without a refresh token is used to its end, and that a login is needed then.
func TestTokensThatCannotBeRefreshed(t *testing.T) {
	e, remote, now := newEndpoint(t, refreshSpec)
	manager := newManager(t, oauth.NewMemoryStore())
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Login: *now, Expires: now.Add(time.Hour)}))
	source := manager.Source("crm", remote)
	*now = now.Add(time.Hour - time.Second)
	assert.Equal(t, "a0", get(t, source, ""))
	*now = now.Add(time.Second)
	_, err := source.Token(t.Context(), "")
	assertLogin(t, err)
	assert.ErrorContains(t, err, "the remote issued no refresh token")
	assert.Empty(t, e.forms())
}

// TestRefusedTokensAreNotUsed checks that a token whose refresh a remote has refused is not used, even before its end.
func TestRefusedTokensAreNotUsed(t *testing.T) {
	e, remote, now := newEndpoint(t, refreshSpec)
	manager := newManager(t, oauth.NewMemoryStore())
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "r0", Expires: now.Add(time.Hour), Refused: "the user is gone"}))
	source := manager.Source("crm", remote)
	for range 2 {
		access, err := source.Token(t.Context(), "")
		assertLogin(t, err)
		assert.ErrorContains(t, err, "the user is gone")
		assert.Empty(t, access)
	}
	assert.Empty(t, e.forms())
}

// TestTokensWithoutAnEndOutliveTheStore checks that a token whose end is unknown is used while the store fails.
func TestTokensWithoutAnEndOutliveTheStore(t *testing.T) {
	_, remote, now := newEndpoint(t, refreshSpec)
	store := &contended{Store: oauth.NewMemoryStore()}
	manager := newManager(t, store)
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0"}))
	source := manager.Source("crm", remote)
	assert.Equal(t, "a0", get(t, source, ""))
	store.getErr = errors.New("the disk is gone")
	*now = now.Add(time.Hour)
	assert.Equal(t, "a0", get(t, source, ""))
}

// TestRefusedTokensAreRefreshedAtMostEveryTenSeconds checks a remote that refuses the refreshed token, too, when the token in memory is
// too old to be used without a look into the store.
func TestRefusedTokensAreRefreshedAtMostEveryTenSeconds(t *testing.T) {
	e, remote, now := newEndpoint(t, refreshSpec)
	store := &contended{Store: oauth.NewMemoryStore()}
	manager := newManager(t, store)
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "r0"}))
	source := manager.Source("crm", remote)
	assert.Equal(t, "a1", get(t, source, "a0"))
	*now = now.Add(5 * time.Second)
	gets := store.gets
	for range 3 {
		assert.Equal(t, "a1", get(t, source, "a1"))
	}
	assert.Equal(t, gets+1, store.gets, "the store is read once")
	assert.Len(t, e.forms(), 1)
	*now = now.Add(5 * time.Second)
	get(t, source, "a1")
	assert.Len(t, e.forms(), 2)
}

// TestGraceAfterAFailedRefresh checks the time after a refresh ahead of time that failed: the old token is used without asking again,
// unless the remote refuses it.
func TestGraceAfterAFailedRefresh(t *testing.T) {
	e, remote, now := newEndpoint(t, refreshSpec)
	manager := newManager(t, oauth.NewMemoryStore())
	require.NoError(t, manager.Put(t.Context(), "crm", oauth.Token{Access: "a0", Refresh: "r0", Login: *now, Expires: now.Add(time.Hour)}))
	source := manager.Source("crm", remote)
	assert.Equal(t, "a0", get(t, source, ""))
	*now = now.Add(59 * time.Minute)
	e.answer(503, "")
	assert.Equal(t, "a0", get(t, source, ""))
	for range 5 {
		*now = now.Add(3 * time.Second)
		assert.Equal(t, "a0", get(t, source, ""))
	}
	assert.Len(t, e.forms(), 1)
	e.answer(200, `{"access_token":"a1","token_type":"bearer","expires_in":3600}`)
	assert.Equal(t, "a1", get(t, source, "a0"), "a refused token is refreshed at once")
}

// TestTheStoreFailsWithoutAToken checks that no empty token is returned if nothing can be read.
func TestTheStoreFailsWithoutAToken(t *testing.T) {
	_, remote, _ := newEndpoint(t, refreshSpec)
	store := &contended{Store: oauth.NewMemoryStore(), getErr: errors.New("the disk is gone")}
	for _, refused := range []string{"", "a0"} {
		access, err := newManager(t, store).Source("crm", remote).Token(t.Context(), refused)
		assert.ErrorIs(t, err, store.getErr)
		assert.Empty(t, access)
	}
}
