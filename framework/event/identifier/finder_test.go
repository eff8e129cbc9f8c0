package identifier_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event/identifier"
)

// TestIdentifiersInTexts checks in which texts identifiers are found.
func TestIdentifiersInTexts(t *testing.T) {
	f := identifier.NewFinder([]string{"u1", "Ann.Lee+x@example.com", "a b/c", "--", "", `quo"te`})
	for text, found := range map[string]bool{
		`{"external_id":"u1"}`:     true,
		`{\"external_id\":\"u1\"}`: true,
		`/users/u1/audiences`:      true,
		`u1`:                       true,
		`external_id:u1`:           true,
		`first\nu1`:                true,
		`u1-2`:                     false, `x_u1`: false, `u1.`: true,
		`u12`:            false,
		`au1`:            false,
		` au1`:           false,
		`Ann.`:           false,
		`+x@example.com`: false,
		`U1`:             false,
		`the user ann.lee+X@EXAMPLE.com is unknown`: true,
		`email=Ann.Lee%2Bx%40example.com&x=1`:       true,
		`xann.lee+x@example.com`:                    false,
		`ann.lee+x@example.company`:                 false,
		`/a%20b%2Fc/x`:                              true,
		`q=a+b%2Fc`:                                 true,
		`a -- b`:                                    true,
		`{"id":"quo\"te"}`:                          true,
		`{\"id\":\"quo\\\"te\"}`:                    true,
		``:                                          false,
		`c24db2f98a1a6a1ea4e4ba0a3a1b6a1a00000000000`: false,
	} {
		assert.Equal(t, found, f.In(text), text)
	}
	var none *identifier.Finder
	assert.False(t, none.In("u1"))
	assert.True(t, identifier.NewFinder([]string{"a@b.c"}).In("sha256=d648b243a3e817eaa3309e00e183483f2867baadf522099f0c2121770536b25a"), "a hashed address")
}
