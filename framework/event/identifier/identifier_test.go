package identifier_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
)

func TestSetHasUserOf(t *testing.T) {
	key := identifier.NewKey("a secret")
	set := identifier.NewSet(key, []string{key.Hash("u1"), key.Hash(" Ann@Example.com "), key.Hash("7")})
	for text, want := range map[string]bool{
		`{"userId":"u1"}`:      true,
		`{"userId":"u11"}`:     false,
		`{"userId":7}`:         true,
		`{"anonymousId":"u1"}`: true,
		`{"previousId":"u1"}`:  true,
		`{"userId":"x","traits":{"email":"ANN@example.com"}}`:                  true,
		`{"userId":"x","context":{"traits":{"email":"ann@example.com"}}}`:      true,
		`{"userId":"x","context":{"externalIds":[{"id":"u1"}]}}`:               true,
		`{"userId":"x","properties":{"external_id":"u1"}}`:                     true,
		`{"userId":"x","properties":{"to":["b@c.d",{"a":"ann@example.com"}]}}`: true,
		`{"userId":"x","properties":{"label":"u1","quantity":7}}`:              false,
		`{"userId":"x","properties":{"note":"write to ann@example.com"}}`:      false,
		`{}`: false,
	} {
		assert.Equal(t, want, set.HasUserOf(event.MustParse(text)), text)
	}
	assert.False(t, set.Has(""))
	assert.True(t, set.Has("u1"))
	var none *identifier.Set
	assert.False(t, none.HasUserOf(event.MustParse(`{"userId":"u1"}`)))
	assert.False(t, none.HasIdentity("external_id:u1"))
}

func TestSetHasIdentity(t *testing.T) {
	key := identifier.NewKey("a secret")
	set := identifier.NewSet(key, []string{key.Hash("u1"), key.Hash("a:b"), key.Hash("ann@example.com")})
	for identity, want := range map[string]bool{
		"external_id:u1": true, "external_id:u2": false, "external_id:a:b": true, "user_alias:email:ann@example.com": true, "user_alias:a%3Ab:x": false,
		"u1": true, "": false, "u1:x": false,
	} {
		assert.Equal(t, want, set.HasIdentity(identity), identity)
	}
}

func TestHashesDependOnTheKey(t *testing.T) {
	a, b := identifier.NewKey("a"), identifier.NewKey("b")
	assert.NotEqual(t, a.Hash("u1"), b.Hash("u1"))
	assert.NotEqual(t, a.ID(), b.ID())
	assert.Equal(t, a.Hash("u1"), identifier.NewKey("a").Hash("u1"))
	assert.NotEqual(t, a.Hash("U1"), a.Hash("u1"), "only the case of e-mail addresses does not matter")
	assert.NotContains(t, a.Hash("u1"), "u1")
}

// TestHashesStay holds hashes that ledgers and lists of suppressed users contain.
func TestHashesStay(t *testing.T) {
	key := identifier.NewKey("a secret")
	assert.Equal(t, "0ec63929cfb15b0be41719d98cbb5d47c2b0a620a468bfbe2ec59f0388f1df1a", key.Hash("u1"))
	assert.Equal(t, "4801fe8f48de291f", key.ID())
}

func TestHasText(t *testing.T) {
	v := event.MustParse(`{"a":[1,{"b":"u1"}],"c":{"d":"Ann@example.com"}}`)
	for id, want := range map[string]bool{"u1": true, "U1": false, "u2": false, "ann@EXAMPLE.com": true, "b": false, "1": false} {
		assert.Equal(t, want, identifier.HasText(v, id), id)
	}
}
