// Package config reads landfall.yaml: the destination instances that run, and the sources of their events.
//
// [Load] reads a file and [Parse] a text. Both return everything that they could read with all problems of it, each with its line and
// column. A program passes both on to runtime.Load or instances.Load, which add the problems that only they see.
//
// It checks the form of the file and resolves ${VARIABLE} and file:PATH. It does not know destinations: package runtime checks
// whether destinations, actions and fields exist, and uses the pointers in instances and subscriptions to report problems. A Config
// is immutable and safe for concurrent use.
package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/textfile"
	"github.com/landfall-dev/landfall/schemas"
)

// Config is the content of a config file.
type Config struct {
	Sources       []Source
	Definitions   string // a directory of destinations without code, relative to the file; "" for none
	Data          string // the data directory, relative to the file; "" if the config does not set it
	StateURL      string // the URL of the database for state; "" for the data directory
	StateKey      string // the key with which tokens are encrypted; "" if the config does not set it
	Server        Server
	Egress        *httpx.Egress // hosts that URLs from events may reach in addition to public ones
	Budgets       []Budget
	Instances     []Instance
	AudienceSyncs []AudienceSync
	Document      *yamldoc.Document
	secrets       []string
	secretFiles   []secretFile
	text          []byte // that it was loaded from
}

// Secrets returns the values that were read from the environment and from files. They must not be logged or displayed.
func (c *Config) Secrets() []string { return c.secrets }

// Text returns the text that the config was loaded from. It can contain secrets.
func (c *Config) Text() []byte { return c.text }

// FindInstance returns the instance with an id, enabled or not.
func (c *Config) FindInstance(id string) (Instance, bool) {
	for _, in := range c.Instances {
		if in.ID == id {
			return in, true
		}
	}
	return Instance{}, false
}

// Source is a source of events, such as a website.
type Source struct {
	ID        string
	WriteKey  string
	PerSecond float64 // the maximum rate in events per second; 0 means no limit
	Deletes   bool    // events of type delete are accepted
	Erases    bool    // events of type delete erase the user
}

// Instance is a configured destination.
type Instance struct {
	ID            string
	Name          string // for people who read the config; the id if it has none
	Destination   string // a slug or an alias
	Enabled       bool
	Sources       []string
	Features      map[string]bool
	Audiences     event.Value // the settings of audiences by their key; may be absent
	Limits        Limits
	Consent       []string    // categories that an event's user must not have refused
	Settings      event.Value // an object
	Auth          event.Value // how the instance gets its tokens; may be absent
	AccessToken   string      // auth.accessToken, which is sent with each request as a bearer token; may be ""
	Subscriptions []Subscription
	Pointer       string // the JSON pointer of the instance in the file
	written       string // the instance as JSON, before secrets are resolved
	egress        string // the config's egress as JSON
}

// Version returns a hash of the instance's config, including resolved secrets. It changes if any of them changes, and does not reveal
// them.
func (in *Instance) Version() string {
	sum := sha256.Sum256([]byte(in.written + "\x00" + in.Settings.JSON() + "\x00" + in.Auth.JSON() + in.egress))
	return hex.EncodeToString(sum[:])
}

// Subscription says which events are sent and how they are mapped.
type Subscription struct {
	ID                 string // an external id; may be ""
	Name               string
	Action             string
	ActionKey          string      // the key in the file: action or partnerAction
	Subscribe          string      // an FQL query; "" for the action's default
	Mapping            event.Value // may be absent
	UseDefaultMappings bool
	Enabled            bool
	SyncMode           string
	Hooks              event.Value // the inputs of hooks by their names; may be absent
	SampleRate         float64     // the fraction of events that the subscription receives: 0 to 1
	Pointer            string      // the JSON pointer of the subscription in the file
}

// Env resolves ${VARIABLE} and file:PATH of a config. By default it uses the environment and the files of the process.
type Env struct {
	Lookup   func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error) // path is as the config has it
	// Base, if it is present, is the config file in effect, for a text that does not come from it, such as one of the console. Then the text may
	// refer to files, and to sealed secrets of other instances, only where Base does: all other references are problems, and are not read.
	Base event.Value
	// Commands runs the commands of exec:COMMAND and keeps their outputs. If it is nil, each command runs once each time that a config is read.
	// Only Load runs commands, and with Base also the others.
	Commands *Commands
}

// Load reads a config file. It returns all problems with their positions. The Config has everything that could be read; it is nil if the file
// is not readable YAML. Keys that are written twice are problems of a Config that is read all the same.
func Load(path string, env Env) (*Config, fault.Problems) {
	text, err := textfile.ReadAtMost(path, yamldoc.MaxBytes)
	if err != nil {
		return nil, fault.Problems{{File: path, Message: fault.FileReason(err)}}
	}
	return LoadText(path, text, env)
}

// LoadText is Load for a config file that the caller has read, since some can be read only once, such as pipes.
func LoadText(path string, text []byte, env Env) (*Config, fault.Problems) {
	return parse(path, text, env.withDefaults(path), true)
}

// ParseAt is Load for the text of the file at path. Files that the text names are relative to path's directory.
func ParseAt(path string, text []byte, env Env) (*Config, fault.Problems) {
	return parse(path, text, env.withDefaults(path), false)
}

// Parse is Load for a text that has no path: name is used in problems only.
func Parse(name string, text []byte, env Env) (*Config, fault.Problems) {
	return parse(name, text, env.withDefaults(""), false)
}

// withDefaults returns env with what it does not set. Files are relative to the directory of path, or to the working directory if it is "".
func (env Env) withDefaults(path string) Env {
	if env.Lookup == nil {
		env.Lookup = os.LookupEnv
	}
	if env.ReadFile == nil {
		env.ReadFile = func(name string) ([]byte, error) {
			if path != "" {
				name = resolvePath(path, name)
			}
			return readAtMost(name)
		}
	}
	if env.Commands == nil {
		env.Commands = NewCommands()
	}
	return env
}

// parse reads the text of a config; fromFile says that it is the content of a file.
func parse(name string, text []byte, env Env, fromFile bool) (*Config, fault.Problems) {
	doc, twice := yamldoc.Read(name, text)
	if doc == nil {
		return nil, twice
	}
	value := withScalarTexts(doc, doc.Value())
	r := reader{env: env, fromFile: fromFile, config: &Config{Document: doc, text: text}, problems: schemas.Check(schemas.Config, value)}
	if env.Base.Kind() != event.Absent {
		r.blocked = newReferences(env.Base, value)
	}
	r.config.Server.HasAdminKey = doc.Value().Get("admin").Get("key").Kind() != event.Absent
	if value.Get("destinations").Kind() == event.Array {
		r.readConfig(value)
	}
	r.checkTexts(value, "")
	if r.hasProblem("/definitions") { // otherwise its directory would be a second problem
		r.config.Definitions = ""
	}
	r.checkSubscriptionKeys(value)
	if problems := append(twice, doc.Locate(r.problems)...); len(problems) > 0 {
		return r.config, problems
	}
	return r.config, nil
}

// reader fills a Config and collects problems.
type reader struct {
	env      Env
	fromFile bool // the text is the content of the config file
	config   *Config
	problems fault.Problems
	blocked  map[string]string // why references must not be resolved, by their pointers
}

func (r *reader) readConfig(v event.Value) {
	r.config.Definitions, r.config.Data = v.Get("definitions").Str(), v.Get("data").Str()
	r.config.StateURL = r.resolveFilled(v.Get("state").Get("url"), "/state/url", "set a URL, or leave state.url out for the state in the data directory")
	if problem := checkStateURL(r.config.StateURL); problem != "" && !r.hasProblem("/state/url") {
		r.problems.Add("/state/url", "%s", problem)
	}
	r.config.StateKey = r.resolveFilled(v.Get("state").Get("key"), "/state/key", "set a key, which landfall auth key makes, or leave state.key out")
	r.readServer(v)
	r.readEgress(v.Get("egress").Get("allow"))
	r.readBudgets(v.Get("budgets"))
	known := r.readSources(v.Get("sources"), v.Get("state").Get("key").Exists())
	taken := map[string]bool{}
	for i, d := range v.Get("destinations").Items() {
		place := fmt.Sprintf("/destinations/%d", i)
		in := readInstance(d, place)
		r.checkPathName(in.ID, place+"/id")
		if taken[in.ID] {
			r.problems.Add(place+"/id", "is already used: another instance has the id %q", in.ID)
		}
		taken[in.ID] = true
		r.checkSources(in, known)
		r.checkLimits(d.Get("limits"), place+"/limits")
		in.egress = v.Get("egress").JSON()
		in.Settings = r.resolveSecrets(in.Settings, place+"/settings")
		in.Auth = r.resolveAuth(d.Get("auth"), place+"/auth")
		in.AccessToken = in.Auth.Get("accessToken").Str()
		r.config.Instances = append(r.config.Instances, in)
	}
	r.readAudienceSyncs(v.Get("audienceSyncs"))
}

// readSources reads the sources of events, and returns their ids. hasKey says that the state has a key.
func (r *reader) readSources(v event.Value, hasKey bool) (known map[string]bool) {
	known = map[string]bool{}
	keys := map[string]bool{}
	for i, s := range v.Items() {
		place := fmt.Sprintf("/sources/%d", i)
		id := s.Get("id").Str()
		if known[id] {
			r.problems.Add(place+"/id", "is already used: another source has the id %q", id)
		}
		known[id] = true
		key := r.resolveFilled(s.Get("writeKey"), place+"/writeKey", "set a key, or leave writeKey out if the source receives no events over HTTP")
		if keys[key] {
			r.problems.Add(place+"/writeKey", "is already used: another source has the same")
		}
		keys[key] = key != ""
		if s.Get("erases").Kind() == event.True && !hasKey {
			r.problems.Add(place+"/erases", "needs state.key, with which requests to erase users are encrypted: landfall auth key makes one")
		}
		r.config.Sources = append(r.config.Sources, Source{id, key, s.Get("eventsPerSecond").Float(), s.Get("deletes").Kind() == event.True, s.Get("erases").Kind() == event.True})
	}
	return known
}

// checkPathName adds a problem for an id that cannot be a part of a URL: clients resolve it as the directory itself, or as the one above.
func (r *reader) checkPathName(id, place string) {
	if id == "." || id == ".." {
		r.problems.Add(place, "cannot be %q, which has no page in the console: add a letter or a digit", id)
	}
}

func (r *reader) checkSources(in Instance, known map[string]bool) {
	var names []string
	for _, s := range r.config.Sources {
		names = append(names, s.ID)
	}
	for i, id := range in.Sources {
		if !known[id] {
			r.problems.Add(fmt.Sprintf("%s/sources/%d", in.Pointer, i), "there is no source %q%s", id, fault.DidYouMean(id, names))
		}
	}
}

// InstanceOf reads one instance without a config around it. ${VARIABLE} and file:PATH are not resolved.
func InstanceOf(v event.Value) Instance { return readInstance(v, "") }

func readInstance(v event.Value, place string) Instance {
	in := Instance{
		ID: v.Get("id").Str(), Name: cmp.Or(v.Get("name").Str(), v.Get("id").Str()), Destination: v.Get("destination").Str(), Enabled: isEnabled(v.Get("enabled")),
		Settings: v.Get("settings"), Pointer: place, written: v.Without("name").JSON(), // a name changes nothing that is sent
	}
	if in.Settings.Kind() != event.Object {
		in.Settings = event.NewObject(nil)
	}
	for _, id := range v.Get("sources").Items() {
		in.Sources = append(in.Sources, id.Str())
	}
	for _, category := range v.Get("consent").Items() {
		in.Consent = append(in.Consent, category.Str())
	}
	in.Limits = readLimits(v.Get("limits"))
	in.Audiences = v.Get("audiences")
	for name, on := range v.Get("features").Members() {
		if in.Features == nil {
			in.Features = map[string]bool{}
		}
		in.Features[name], _ = on.Bool()
	}
	for i, s := range v.Get("subscriptions").Items() {
		in.Subscriptions = append(in.Subscriptions, readSubscription(s, i, fmt.Sprintf("%s/subscriptions/%d", place, i)))
	}
	return in
}

func readSubscription(v event.Value, i int, place string) Subscription {
	s := Subscription{
		ID: v.Get("id").Str(), Name: v.Get("name").Str(), ActionKey: "action", Subscribe: v.Get("subscribe").Str(), Mapping: v.Get("mapping"),
		UseDefaultMappings: isEnabled(v.Get("useDefaultMappings")), Enabled: isEnabled(v.Get("enabled")),
		SyncMode: v.Get("syncMode").Str(), Hooks: v.Get("hooks"), SampleRate: 1, Pointer: place,
	}
	if rate := v.Get("sampleRate"); rate.Kind() == event.Number {
		s.SampleRate = rate.Float()
	}
	if v.Get("action").Kind() == event.Absent {
		s.ActionKey = "partnerAction"
	}
	s.Action = v.Get(s.ActionKey).Str()
	if s.Name == "" {
		s.Name = fmt.Sprintf("%s %d", s.Action, i+1)
	}
	return s
}

// isEnabled reads a flag that is true by default.
func isEnabled(v event.Value) bool { return v.Kind() != event.False }
