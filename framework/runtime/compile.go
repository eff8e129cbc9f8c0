package runtime

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Host holds what the program that runs a plan provides. Zero fields have working defaults.
type Host struct {
	Transport http.RoundTripper    // the base transport; httpx.NewTransport by default
	Observe   func(httpx.Exchange) // called with every request and its response, redacted
	State     destination.State    // in memory by default
	Members   destination.Members  // in memory by default
	// Token returns the access token for a request of an instance, or "" for none. If the remote answered a token with 401, that token
	// is passed as refused and Token returns another. If Token is nil, tokens come from the config or from Logins.
	Token func(ctx context.Context, instance, refused string) (string, error)
	// Logins stores the tokens of instances that require a login.
	Logins         *oauth.Manager
	TokenTransport http.RoundTripper       // for requests for tokens; httpx.NewTransport by default
	Env            destination.Environment // empty by default
	Now            func() time.Time        // time.Now by default
	Log            *slog.Logger            // silent by default
	MaxPause       time.Duration           // the longest pause that the remote's rate limit can ask for; httpx.DefaultMaxPause by default
	Gate           *budget.Gate            // limits the requests; nil limits nothing
	Features       map[string]bool         // feature flags of every instance; those of its config override them
	// Egress allows hosts to requests whose URL comes from an event; nil allows public addresses only. It applies to
	// the network, not to sandboxes and other transports of the host.
	Egress  *httpx.Egress
	Secrets []string // values to redact, in addition to those in settings
}

// New compiles the plan of an instance. The error is a fault.Problems with JSON pointers into the config file. A mapping for which every
// event is refused is not an error: each event gets that verdict. Load and LoadInstance report it.
func New(plugin destination.Plugin, definition *destination.Definition, instance config.Instance, host Host) (*Plan, error) {
	plan, _, err := newPlan(plugin, definition, instance, host, false)
	return plan, err
}

// newPlan is New, and also returns the warnings of an instance with mistakes. checked says that a mapping for which every event is refused is
// an error.
func newPlan(plugin destination.Plugin, definition *destination.Definition, instance config.Instance, host Host, checked bool) (*Plan, fault.Problems, error) {
	if host.Env == nil {
		host.Env = func(string) (string, bool) { return "", false }
	}
	plugin = plugin.Complete(definition)
	tokenLimiter := httpx.NewLimiter(httpx.LimiterConfig{MaxPause: host.MaxPause})
	limiter := httpx.NewLimiter(httpx.LimiterConfig{MaxPause: host.MaxPause})
	c := &compiler{plugin: plugin, definition: definition, instance: instance, host: host, limiter: limiter, tokenLimiter: tokenLimiter, checked: checked}
	p := &Plan{gate: host.Gate, limiter: limiter, tokenLimiter: tokenLimiter, id: instance.ID, definition: definition, consent: instance.Consent, integrations: newIntegrationSwitch(instance.ID, definition), test: plugin.Test, actions: plugin.Actions, audiences: plugin.Audiences, choices: plugin.Choices}
	if p.audiences != nil {
		p.audienceID = event.NewKey(p.audiences.ID)
	}
	p.settings = c.compileSettings()
	p.tokens = c.compileAuth(p)
	p.subscriptions = c.compileSubscriptions()
	p.deletion = c.compileDeletion()
	p.audienceCreator = c.compileAudienceCreator(p)
	redactor := c.newRedactor(p.settings)
	if len(c.problems) > 0 {
		return nil, redactProblems(redactor, c.warnings), redactProblems(redactor, c.problems)
	}
	p.chooser = newChooser(p.subscriptions)
	p.redact = redactor.Redact
	p.deps = c.newDeps(p.settings, p.tokens, redactor)
	if open := c.plugin.Open; open != nil {
		p.opening = newOpening(func(ctx context.Context) (destination.Opened, error) {
			return open(ctx, destination.OpenInput{Deps: p.deps, Settings: p.settings})
		}, p.deps.Log)
	}
	p.features = c.compileFeatures()
	if c.checked {
		c.checkSamples(p)
		c.checkIsolation(p)
	}
	p.warnings = redactProblems(redactor, c.warnings)
	if len(c.problems) > 0 {
		return nil, p.warnings, redactProblems(redactor, c.problems)
	}
	return p, p.warnings, nil
}

// redactProblems removes secrets that a mapping may repeat from the messages of problems.
func redactProblems(redactor *httpx.Redactor, problems fault.Problems) fault.Problems {
	for i := range problems {
		problems[i].Message = redactor.Redact(problems[i].Message)
	}
	return problems
}

// compiler checks an instance against its destination and collects problems.
type compiler struct {
	plugin     destination.Plugin
	definition *destination.Definition
	instance   config.Instance
	host       Host
	problems   fault.Problems
	warnings   fault.Problems
	looked     []string // values from the environment
	disabled   []*Subscription
	checked    bool // mappings for which every event is refused are problems

	limiter, tokenLimiter *httpx.Limiter // of the instance's requests, and of its own requests for tokens
}

// compileSettings returns the instance's settings with defaults, checked and coerced.
func (c *compiler) compileSettings() event.Value {
	place := c.instance.Pointer + "/settings"
	s, err := fieldschema.Compile(c.definition.Settings)
	if err != nil {
		c.problems.AddUnder(place, err)
		return event.Value{}
	}
	values := withDefaults(destination.Overlay(c.environmentSettings(), c.instance.Settings), c.definition.Settings)
	for key := range values.Members() {
		if c.definition.Settings.Get(key) == nil {
			c.problems.Add(place+fault.PointerKey(key), "is not a setting of %s%s", c.definition.Name, fault.DidYouMean(key, c.definition.Settings.Keys()))
		}
	}
	processed, err := s.Process(values)
	if err != nil {
		c.problems.AddUnder(place, fieldschema.ProblemsOf(err))
		return event.Value{}
	}
	if c.plugin.CheckSettings != nil {
		if err := c.plugin.CheckSettings(processed, c.environment()); err != nil {
			c.problems.Add(place, "%v", err)
		}
	}
	return processed
}

// environmentSettings returns the settings whose definition names an environment variable that is set and not empty. They replace
// the defaults; the config replaces them.
func (c *compiler) environmentSettings() event.Value {
	var found []event.Member
	for _, f := range c.definition.Settings {
		name := f.Raw.Get("environment")
		if !name.IsString() {
			continue
		}
		if value, ok := c.environment()(name.Str()); ok && value != "" {
			found = append(found, event.Member{Key: f.Key, Value: event.NewString(value)})
		}
	}
	return event.NewObject(found)
}

func withDefaults(settings event.Value, fields fieldschema.Fields) event.Value {
	var defaults []event.Member
	for _, f := range fields {
		if f.Default.Kind() != event.Absent {
			defaults = append(defaults, event.Member{Key: f.Key, Value: f.Default})
		}
	}
	return destination.Overlay(event.NewObject(defaults), settings)
}

// environment returns the host's environment. Values that are looked up while the plan is made are redacted as secrets.
func (c *compiler) environment() destination.Environment {
	return func(name string) (string, bool) {
		value, ok := c.host.Env(name)
		c.looked = append(c.looked, value)
		return value, ok
	}
}

func (c *compiler) compileSubscriptions() []*Subscription {
	var list []*Subscription
	names := map[string]bool{OnDelete: c.plugin.OnDelete != nil}
	for _, s := range c.instance.Subscriptions {
		compiled := c.compileSubscription(s)
		if names[s.Name] {
			c.problems.Add(s.Pointer, "has the same name as another subscription of the instance: %q", s.Name)
		}
		names[s.Name] = true
		if s.Enabled {
			list = append(list, compiled)
		} else {
			c.disabled = append(c.disabled, compiled)
		}
	}
	if most := c.definition.Limits.Subscriptions; most > 0 && len(list) > most {
		c.problems.Add(c.instance.Pointer+"/subscriptions", "holds %d enabled subscriptions, but an instance of %s may have %d at most", len(list), c.definition.Name, most)
	}
	if len(c.problems) == 0 && c.plugin.Audiences != nil {
		c.checkOverlaps(list)
	}
	return list
}

// compileSubscription compiles one subscription, enabled or not.
func (c *compiler) compileSubscription(in config.Subscription) *Subscription {
	s := &Subscription{name: in.Name, syncMode: in.SyncMode, sample: in.SampleRate, action: c.definition.Action(in.Action)}
	if s.action == nil {
		keys := c.definition.ActionKeys()
		if in.Action == "" { // a config has reported it at the same place
			c.problems.Add(in.Pointer, "needs an action: those of %s are %s", c.definition.Name, strings.Join(keys, ", "))
		} else {
			c.problems.Add(in.Pointer+"/"+in.ActionKey, "%s has no action %q%s", c.definition.Name, in.Action, fault.DidYouMean(in.Action, keys))
		}
		c.problems = append(c.problems, languageProblems(in)...)
		return s
	}
	s.handler, s.reserved = c.plugin.Actions[s.action.Key], reservedOf(s.action.Fields)
	s.metadata = destination.SubscriptionMetadata{
		ID: in.ID, Name: in.Name, Action: s.action.Key, Destination: c.definition.Slug, Instance: c.instance.ID,
	}
	c.compileModes(in, s)
	s.hooks = c.compileHooks(in, s)
	in.Mapping = withoutModes(in.Mapping)
	var err error
	if s.query, err = fql.Compile(c.queryText(in, s.action)); err != nil {
		c.problems.AddUnder(in.Pointer+"/subscribe", err)
	} else {
		c.checkQuery(in, s.query)
	}
	if s.schema, err = fieldschema.Compile(withoutBatchBounds(s.action.Fields.ForSyncMode(s.syncMode))); err != nil {
		c.problems.AddUnder(in.Pointer, err)
	}
	c.compileMapping(in, s)
	return s
}

func (c *compiler) queryText(in config.Subscription, action *destination.ActionDefinition) string {
	if in.Subscribe == "" {
		return action.DefaultSubscription
	}
	return in.Subscribe
}

// compileMapping compiles the config's mapping alone, to report problems with their places, and then with the defaults, for use.
func (c *compiler) compileMapping(in config.Subscription, s *Subscription) {
	if in.Mapping.Kind() != event.Absent {
		c.mappedFields(in, s.action)
		own, err := mapping.Compile(in.Mapping)
		if err != nil {
			c.problems.AddUnder(in.Pointer+"/mapping", err)
			return
		}
		c.warnings.AddUnder(in.Pointer+"/mapping", own.Warnings().Err())
		c.batchSize(in, s)
	}
	whole := in.Mapping
	if whole.Kind() == event.Absent || in.UseDefaultMappings && !mapping.IsDirective(whole) {
		whole = destination.Overlay(s.action.DefaultMapping(), in.Mapping)
	}
	var err error
	s.written = httpx.NewConfiguredURLs(textsOf(whole, nil))
	if s.mapping, err = mapping.Compile(whole); err != nil {
		c.problems.AddUnder(in.Pointer+"/mapping", err)
		return
	}
	c.checkBatchKeys(in, s, whole)
	s.batches = s.mayBatch(whole)
	if c.checked && s.schema != nil {
		c.checkDeliverable(in, s, whole)
	}
}

// checkDeliverable reports the parts of a subscription's mapping for which every event is refused, as warnings if it is disabled.
func (c *compiler) checkDeliverable(in config.Subscription, s *Subscription, whole event.Value) {
	wrong, doubtful := CheckMapping(s.schema.Fields(), whole)
	wrong = append(wrong, problemsOf(checkMembers(s, whole))...)
	wrong = append(wrong, problemsOf(c.checkChangeTime(s, whole))...)
	failing, unlikely := checkEvaluation(queryTypes(s.query), whole)
	wrong, doubtful = append(wrong, failing...), append(doubtful, unlikely...)
	doubtful = append(doubtful, CheckSpelling(in.Mapping)...)
	list := &c.problems
	if !in.Enabled {
		list = &c.warnings
	}
	list.AddUnder(in.Pointer+"/mapping", wrong.Err())
	c.warnings.AddUnder(in.Pointer+"/mapping", doubtful.Err())
}

// textsOf appends all texts in a value, at any depth.
func textsOf(v event.Value, texts []string) []string {
	if v.IsString() {
		return append(texts, v.Str())
	}
	for _, item := range v.Items() {
		texts = textsOf(item, texts)
	}
	for _, member := range v.Members() {
		texts = textsOf(member, texts)
	}
	return texts
}

// mappedFields warns of keys of a mapping that are not fields of the action, or not properties of a field: they are dropped from every
// payload. The keys of a mapping that is a directive are not known.
func (c *compiler) mappedFields(in config.Subscription, action *destination.ActionDefinition) {
	if mapping.IsDirective(in.Mapping) {
		return
	}
	for key, m := range in.Mapping.Members() {
		if strings.HasPrefix(key, "_") {
			continue
		}
		if f := action.Fields.Get(key); f != nil {
			c.warnings.AddUnder(in.Pointer+"/mapping"+fault.PointerKey(key), destination.DroppedKeys(*f, m).Err())
			continue
		}
		c.warnings.Add(in.Pointer+"/mapping"+fault.PointerKey(key), "is not a field of %s and is dropped%s", action.Key, fault.DidYouMean(key, action.Fields.Keys()))
	}
}

// clockFunc returns the host's clock, time.Now by default.
func (h Host) clockFunc() func() time.Time {
	if h.Now == nil {
		return time.Now
	}
	return h.Now
}

func (c *compiler) newDeps(settings event.Value, give tokens, redactor *httpx.Redactor) destination.Deps {
	h := c.host
	h.Now = h.clockFunc()
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	if h.State == nil {
		h.State = destination.NewMemoryState()
	}
	if h.Members == nil {
		h.Members = destination.NewMemoryMembers()
	}
	return destination.Deps{
		Client: c.newClient(settings, give, redactor), State: h.State, Members: h.Members, Locks: &destination.Locks{}, Env: h.Env, Now: h.Now,
		Log: h.Log.With("instance", c.instance.ID, "destination", c.definition.Slug),
	}
}
