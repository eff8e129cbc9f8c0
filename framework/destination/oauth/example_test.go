package oauth_test

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
)

// Tokens are stored encrypted with a key. With another key they cannot be read.
func ExampleManager() {
	ctx, store := context.Background(), oauth.NewMemoryStore()
	box, err := oauth.NewBox(oauth.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens := oauth.NewManager(store, box)
	if err := tokens.Put(ctx, "crm-main", oauth.Token{Access: "a1", Refresh: "r1"}); err != nil {
		fmt.Println(err)
		return
	}
	token, err := tokens.Token(ctx, "crm-main")
	fmt.Println(token.Access, err)

	other, err := oauth.NewBox(oauth.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = oauth.NewManager(store, other).Token(ctx, "crm-main")
	fmt.Println(err != nil)
	// Output:
	// a1 <nil>
	// true
}
