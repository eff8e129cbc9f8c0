package state_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// A program opens the database once and gives each instance its ledger: runtime.Host{State: ledger, Members: ledger}. Handlers record
// what the remote has accepted; the program can read it.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "landfall")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	store, err := state.Open(ctx, dir) // or postgres://… for several machines
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()

	ledger, vip := store.Ledger("braze-main"), destination.Audience{ID: "aud_1", Name: "vip"}
	entered := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := ledger.Record(ctx, vip, []destination.Change{{Identity: "u1", Member: true, At: entered}}); err != nil {
		fmt.Println(err)
	}
	err = ledger.Each(ctx, vip.ID, "", func(m state.Membership) error {
		fmt.Println(m.Identity, "is a member:", m.Member)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// u1 is a member: true
}
