// Package console is the web UI of Landfall. It shows the destination catalogue, edits the config, tests single events, and shows
// deliveries, dead letters and audiences.
//
// Pages are rendered on the server, escape everything they show and load nothing from other hosts; a small script refreshes them.
// Access needs a session, opened with the admin key; without an admin key, only requests from this machine are allowed. The package
// must not know flags or commands: its caller passes in how plans are built. A Console is safe for concurrent use.
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
	"github.com/landfall-dev/landfall/framework/state"
)

// Path is the URL path that the console is served below.
const Path = "/console/"

// Target says where a plan sends its requests.
type Target string

// The targets.
const (
	DryRun  Target = "dry-run" // nowhere: every request is answered as if it had succeeded
	Sandbox Target = "sandbox" // a new, empty sandbox of the destination
	Real    Target = "real"    // where deliveries go, with their state
)

// Instance is a destination instance of the config with its compiled plan.
type Instance struct {
	Plan     *runtime.Plan
	Plugin   destination.Plugin
	Ledger   *state.Ledger  // nil if the instance has no state
	Warnings fault.Problems // with their positions in the config
}

// Config holds the dependencies and settings of a Console.
type Config struct {
	Registry func() (*destination.Registry, error) // the destinations that the config can use
	File     string                                // path of the config; the file need not exist yet
	// BuildPlans compiles the enabled instances of a config as read by config.Load. The error contains every problem.
	BuildPlans func(cfg *config.Config, problems fault.Problems, to Target, observe func(httpx.Exchange)) ([]Instance, error)
	// Running returns the instances that deliver, with the ledgers they write to.
	Running func() ([]Instance, error)
	// Queue and Runner deliver events; nil in a console without a queue.
	Queue  *delivery.Queue
	Runner *delivery.Runner
	// LedgerSize returns the size of a ledger in files, nil for one in a database; may be nil.
	LedgerSize func() *LedgerSize
	// RemovedInstances returns the status of instances that are no longer in the config but still have data; may be nil.
	RemovedInstances func() []delivery.Status
	// Rejections and Actions return the latest rejected events and changes by operators, newest first; nil without a state that keeps them.
	Rejections func(ctx context.Context, limit int) ([]history.Rejection, error)
	Actions    func(ctx context.Context, limit int) ([]history.Action, error)
	// Erasures takes requests to erase users and shows receipts; nil in a console without a queue.
	Erasures *erasure.Desk
	// Configs returns the changes of the config that are kept, newest first; nil without a state that keeps them.
	Configs func(ctx context.Context) ([]history.ConfigChange, error)
	// ConfigWritten is told of each text that is written to the config file, and how, for people; may be nil.
	ConfigWritten func(ctx context.Context, text []byte, how string)
	// History reads what is kept of earlier times.
	History HistorySource
	// MoveInstance moves the data of an instance that is no longer in the config to one that is. ForgetInstance deletes it. Both are nil in a
	// console without a queue.
	MoveInstance   func(ctx context.Context, from, to string) error
	ForgetInstance func(ctx context.Context, id string) error
	// Syncs runs the audience syncs; nil in a console without a queue.
	Syncs *audienceruns.Scheduler
	// WaitForConfig waits until the server uses the config that was written, or cannot, for a few seconds at most; nil if there is no server,
	// or it starts with the first config.
	WaitForConfig func(ctx context.Context)
	// SandboxOnly says that all deliveries go to sandboxes and nothing is sent to a real endpoint.
	SandboxOnly bool
	// Why answers why users are missing; nil in a console without a queue.
	Why *why.Source
	// Starting says that the server waits for the console to write the first config, and then starts.
	Starting bool
	// SaveSecrets stores secrets that were typed, by their names, encrypted with the key of cfg; nil if there is no state for them.
	SaveSecrets func(ctx context.Context, cfg *config.Config, secrets map[string]string) error
	IngestURL   func(*http.Request) string       // the URL of the tracking API for the reader of a page; may be nil
	Logins      func() (*oauth.Manager, error)   // the store of OAuth tokens; nil if there is none
	Guard       *access.Guard                    // decides who can use the console
	Lookup      func(name string) (string, bool) // reads the environment; os.LookupEnv if nil
	Commands    *config.Commands                 // keeps the outputs of the config's commands; may be nil
	Log         *slog.Logger                     // discards by default
}

// LedgerSize is the size of a ledger in files.
type LedgerSize struct {
	MemberFiles int // with the members of large audiences
	Bytes       int64
}

// Megabytes returns the size of all files for people.
func (s *LedgerSize) Megabytes() string { return fmt.Sprintf("%.1f MB", float64(s.Bytes)/1e6) }

// HistorySource reads what all servers keep of earlier times. A function is nil if that is not kept.
type HistorySource struct {
	Counts   func(ctx context.Context, since time.Time) ([]history.CountSlot, error)
	Sizes    func(ctx context.Context, instance, audience string, since time.Time) (map[string][]history.SizePoint, error)
	Events   func(ctx context.Context, events []history.Position) (map[history.Position][]delivery.VerdictRecord, error) // oldest first
	Verdicts func(ctx context.Context, f history.VerdictFilter) (list []delivery.VerdictRecord, complete bool, err error)
}

// Console serves the web UI below Path.
type Console struct {
	Config
	pages    pageTemplates
	sessions sessions
	drafts   drafts
	jobs     jobs
	counts   ttlCache[string, []history.CountSlot]       // by the key of the window
	errors   ttlCache[struct{}, map[string]*verdictView] // by instance
	letters  ttlCache[string, int]                       // the number of dead letters and parked events, by instance
	verdicts verdictCache
	saving   sync.Mutex // held from reading the config file until it is written

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a Console. The caller must close it.
func New(c Config) (*Console, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Guard == nil {
		c.Guard = access.NewGuard(access.Config{}) // denies all access
	}
	pages, err := listPages()
	if err != nil {
		return nil, err
	}
	console := &Console{Config: c, pages: pages}
	console.ctx, console.cancel = context.WithCancel(budget.WithClass(context.Background(), budget.Background))
	return console, nil
}

// Close stops background jobs, and waits for them.
func (c *Console) Close() {
	c.cancel()
	c.running.Wait()
}

// Handler returns the console's routes, all of them below Path.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range c.routes() {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+Path+path, handler)
	}
	mux.HandleFunc(Path+"cohorts", redirectCohorts)
	mux.HandleFunc(Path+"cohorts/", redirectCohorts)
	c.addWizard(mux)
	guarded := c.requireSession(mux)
	outer := http.NewServeMux()
	outer.Handle(Path, guarded)
	outer.HandleFunc("GET "+Path+"login", c.handleLogin)
	outer.HandleFunc("POST "+Path+"login", c.handleSignIn)
	outer.HandleFunc("POST "+Path+"logout", c.handleSignOut)
	outer.Handle("GET "+Path+"assets/", AssetHandler())
	return protectRequests(outer)
}

// routes returns the handlers that need a session, by method and path below Path.
func (c *Console) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET {$}":                           c.handleHome,
		"GET catalogue":                     c.handleCatalogue,
		"GET catalogue/{slug}":              c.handleDestination,
		"GET test":                          c.handleTester,
		"POST test":                         c.handleTester,
		"GET deliveries":                    c.handleDeliveries,
		"GET why":                           c.handleWhy,
		"GET live":                          c.handleLive,
		"GET batches/{id}":                  c.handleBatch,
		"GET history":                       c.handleHistory,
		"GET verdicts":                      c.handleVerdicts,
		"GET changes":                       c.handleChanges,
		"GET erasures":                      c.handleErasures,
		"GET erasures/{id}":                 c.handleErasure,
		"POST erasures":                     c.handleErasureRequest,
		"GET changes/config":                c.handleConfigChanges,
		"GET changes/config/{id}":           c.handleConfigChange,
		"POST changes/config/{id}":          c.handleRevert,
		"GET events":                        c.handleEvents,
		"GET events/{seq}/{index}":          c.handleEvent,
		"GET letters":                       c.handleDeadLetters,
		"GET letters/{id}":                  c.handleDeadLetter,
		"POST letters":                      c.handleDeadLetterAction,
		"GET audiences":                     c.handleAudiences,
		"GET audiences/{instance}/{id...}":  c.handleAudience,
		"POST audiences/{instance}/{id...}": c.handleAudienceAction,
		"GET syncs":                         c.handleSyncs,
		"GET syncs/{instance}/{sync...}":    c.handleSync,
		"POST syncs/{instance}/{sync...}":   c.handleSyncAction,
		"GET work/{id}":                     c.handleJob,
		"GET setup":                         c.handleSetup,
		"GET setup/new/{slug}":              c.handleNewInstance,
		"GET setup/edit/{id}":               c.handleEditInstance,
		"POST setup/edit":                   c.handleFormAction,
		"POST setup/preview":                c.handlePreview,
		"POST setup/write":                  c.handleWrite,
		"POST setup/connect":                c.handleConnect,
		"POST setup/removed":                c.handleRemovedAction,
	}
}

// redirectCohorts redirects from the paths that the pages of audiences had in earlier versions.
func redirectCohorts(w http.ResponseWriter, r *http.Request) {
	to := Path + "audiences" + strings.TrimPrefix(r.URL.EscapedPath(), Path+"cohorts")
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusPermanentRedirect)
}

// handleHome redirects to the deliveries, to the wizard before there is a config, or to the catalogue if the console has no queue.
func (c *Console) handleHome(w http.ResponseWriter, r *http.Request) {
	to := "catalogue"
	switch {
	case c.Starting:
		to = "wizard"
	case c.Runner != nil:
		to = "deliveries"
	}
	http.Redirect(w, r, Path+to, http.StatusSeeOther)
}

// knownDestinations returns the destinations of the current config; none if they cannot be read. Each call reads the config.
func (c *Console) knownDestinations() *destination.Registry {
	registry, err := c.Registry()
	if err != nil {
		c.Log.Warn("cannot read destination definitions", "error", err)
		return &destination.Registry{}
	}
	return registry
}

// entriesOf returns all destinations of a registry; none if one cannot be read.
func (c *Console) entriesOf(known *destination.Registry) []destination.Entry {
	entries, err := known.Entries()
	if err != nil {
		c.Log.Warn("cannot read destination definitions", "error", err)
	}
	return entries
}

// findDestination returns a destination by its slug or alias.
func (c *Console) findDestination(name string) (destination.Entry, bool) {
	entry, err := c.knownDestinations().Find(name)
	return entry, err == nil
}

// instanceIDs returns the instances that the server delivers to.
func (c *Console) instanceIDs() (ids []string) {
	for _, s := range c.Runner.Status() {
		ids = append(ids, s.Instance)
	}
	return ids
}

// loadConfig reads the config file. The config is nil if the file does not exist or cannot be parsed.
func (c *Console) loadConfig() (*config.Config, fault.Problems) {
	return config.Load(c.File, config.Env{Lookup: c.Lookup, Commands: c.Commands})
}

// KeyFile is the file beside the config in which the console keeps the key that it makes for state.key.
const KeyFile = "landfall.key"
