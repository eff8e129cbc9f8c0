// Package console is a web page to see a Landfall work: what destinations there are, setting them up, trying an event, how far
// deliveries are, what could not be delivered, and who is in which cohort.
//
// Pages are made on the server and need no network; a little script keeps them fresh. What they show is text from elsewhere and
// escaped as such. They need a session, which the admin key opens; as long as no key is set, this machine gets in. The package knows no flags and no commands: who serves it
// hands over how plans are made. A Console is safe for concurrent use; Close ends it.
package console

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/state"
)

// Path is where the console is served.
const Path = "/console/"

// Target is where the requests of a plan go.
type Target string

// The targets.
const (
	Nowhere Target = "nowhere" // every request is answered as if it had been taken
	Sandbox Target = "sandbox" // a pretended remote that knows nothing yet
	Real    Target = "real"    // where deliveries go, with what is kept of them
)

// Instance is an instance of a config that was made into a plan.
type Instance struct {
	Plan     *runtime.Plan
	Plugin   destination.Plugin
	Ledger   *state.Ledger  // nil where nothing is kept
	Warnings fault.Problems // with their places in the config
}

// Config is what a Console shows and works with.
type Config struct {
	Registry func() (*destination.Registry, error) // the destinations that the config may name
	File     string                                // the config; it need not be there yet
	// Make makes plans of a config's enabled instances, as config.Load has read it. The error holds every mistake.
	Make func(cfg *config.Config, problems fault.Problems, to Target, observe func(httpx.Exchange)) ([]Instance, error)
	// Running are the instances that deliver, whose ledgers count. Requests of theirs are real ones, or those of a server's sandbox.
	Running func() ([]Instance, error)
	// Queue and Runner are what delivers; nil where nothing does.
	Queue  *delivery.Queue
	Runner *delivery.Runner
	// Gone returns what is left of instances that are not in the config any more; may be nil.
	Gone func() []delivery.Status
	// Pretends says that what delivers here does so to sandboxes, so that nothing is ever sent to a real endpoint.
	Pretends bool
	Logins   func() (*oauth.Keeper, error) // what keeps tokens; nil where nothing does
	Guard    *access.Guard                 // who may use the console
	Lookup   func(name string) (string, bool)
	Every    time.Duration // between two looks at the deliveries: 5 s
	Log      *slog.Logger  // silent by default
}

// Console answers requests below Path.
type Console struct {
	Config
	pages    map[string]*template.Template
	sessions sessions
	drafts   drafts
	works    works
	history  history

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New makes a Console and begins to watch the deliveries. The caller closes it.
func New(c Config) (*Console, error) {
	if c.Every <= 0 {
		c.Every = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Guard == nil {
		c.Guard = access.NewGuard(access.Config{}) // lets nobody in
	}
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	console := &Console{Config: c, pages: pages}
	console.history = history{tallies: map[string][]tally{}, sizes: map[[2]string][]size{}}
	console.ctx, console.cancel = context.WithCancel(context.Background())
	console.running.Go(console.watch)
	return console, nil
}

// Close ends what goes on behind the pages, and waits for that.
func (c *Console) Close() {
	c.cancel()
	c.running.Wait()
}

// Handler is the console's routes, all of them below Path.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET {$}":                         c.home,
		"GET catalogue":                   c.catalogue,
		"GET catalogue/{slug}":            c.destination,
		"GET test":                        c.tester,
		"POST test":                       c.tester,
		"GET deliveries":                  c.deliveries,
		"GET events":                      c.events,
		"GET events/{seq}/{index}":        c.event,
		"GET letters":                     c.letters,
		"GET letters/{id}":                c.letter,
		"POST letters":                    c.changeLetters,
		"GET cohorts":                     c.cohorts,
		"GET cohorts/{instance}/{id...}":  c.cohort,
		"POST cohorts/{instance}/{id...}": c.changeCohort,
		"GET work/{id}":                   c.work,
		"GET setup":                       c.setup,
		"GET setup/new/{slug}":            c.setupNew,
		"GET setup/edit/{id}":             c.setupEdit,
		"POST setup/edit":                 c.setupChange,
		"POST setup/preview":              c.preview,
		"POST setup/write":                c.write,
		"POST setup/connect":              c.connect,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+Path+path, handler)
	}
	guarded := c.guard(mux)
	outer := http.NewServeMux()
	outer.Handle(Path, guarded)
	outer.HandleFunc("GET "+Path+"login", c.login)
	outer.HandleFunc("POST "+Path+"login", c.signIn)
	outer.HandleFunc("POST "+Path+"logout", c.signOut)
	outer.Handle("GET "+Path+"assets/", assets())
	return protect(outer)
}

// home shows what there is most to see of.
func (c *Console) home(w http.ResponseWriter, r *http.Request) {
	to := "catalogue"
	if c.Runner != nil {
		to = "deliveries"
	}
	http.Redirect(w, r, Path+to, http.StatusSeeOther)
}

// entries are the destinations that there are.
func (c *Console) entries() []destination.Entry {
	registry, err := c.Registry()
	if err != nil {
		c.Log.Warn("reading the definitions", "error", err)
		return nil
	}
	return registry.Entries()
}

// find is a destination by its slug or an alias.
func (c *Console) find(name string) (destination.Entry, bool) {
	registry, err := c.Registry()
	if err != nil {
		c.Log.Warn("reading the definitions", "error", err)
		return destination.Entry{}, false
	}
	return registry.Find(name)
}

// load reads the config file as it is now; nil where there is none yet.
func (c *Console) load() (*config.Config, fault.Problems) {
	return config.Load(c.File, config.Env{Lookup: c.Lookup})
}
