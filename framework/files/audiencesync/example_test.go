package audiencesync_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// A program makes an audience match a file of users. Only the differences from the ledger are sent.
func ExampleSyncer_Sync() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "landfall")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := state.OpenSandbox(ctx, dir, "sandbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: braze
    destination: braze-cohorts
    settings: {endpoint: https://rest.iad-01.braze.com, client_secret: s, partner_api_key: p}
    subscriptions: []
`), config.Env{})
	loaded, err := instances.Load(cfg, problems, instances.Options{
		Target: &instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: []destination.Plugin{brazecohorts.Plugin()}}, Store: store,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	braze := loaded[0]
	syncer := audiencesync.Syncer{Plan: braze.Plan, Audiences: braze.Plugin.Audiences, Ledger: braze.Ledger}
	for _, file := range []string{"external_id\nu1\nu2\nu3\n", "external_id\nu2\nu3\nu4\n"} {
		rows, err := audiencesync.NewRows(strings.NewReader(file), syncer.Audiences.Identifiers, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		report, err := syncer.Sync(ctx, destination.Audience{ID: "aud_1", Name: "vip"}, rows, audiencesync.Mirror, 0.5)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d enter, %d leave, %d stay: %d changes delivered\n", report.Enters, report.Exits, report.Unchanged, report.Delivered)
	}
	// Output:
	// 3 enter, 0 leave, 0 stay: 3 changes delivered
	// 1 enter, 1 leave, 2 stay: 2 changes delivered
}
