// Package config reads landfall.yaml: the instances of destinations that run, and the sources of their events.
//
// It checks the form of the file and brings in what stands outside of it; whether destinations, actions and fields exist is
// checked by who knows them, by the pointers that instances and subscriptions carry. A Config is immutable and safe for
// concurrent use.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/schemas"
)

// Config is what a file says.
type Config struct {
	Sources     []Source
	Definitions string // a directory of destinations without code, beside the file; "" for none
	Data        string // the data directory, as the file has it; "" where it has none
	StateURL    string // the database of the state; "" for the data directory
	StateKey    string // what tokens are sealed with; "" where there is none
	Server      Server
	Egress      *httpx.Egress // hosts that events may choose in spite of the defaults
	Instances   []Instance
	Document    *yamldoc.Document
	secrets     []string
}

// Secrets are the values that came from the environment and from files. They must not be shown.
func (c *Config) Secrets() []string { return c.secrets }

// Source is where events come from.
type Source struct {
	ID        string
	WriteKey  string
	PerSecond float64 // events taken a second; 0 is no bound
	Deletes   bool    // events of type delete are taken
}

// Instance is one destination that runs.
type Instance struct {
	ID            string
	Destination   string // a slug or an alias
	Enabled       bool
	Sources       []string
	Features      map[string]bool
	Audiences     event.Value // the settings of audiences by their key; absent where there are none
	Consent       []string    // categories that an event's user must not have refused
	Settings      event.Value // an object
	Auth          event.Value // how it gets its tokens; absent where it says nothing
	AccessToken   string      // of Auth: goes with each request as a bearer; "" where there is none
	Subscriptions []Subscription
	Pointer       string // where it stands in the file
	written       string // as the file has it
	egress        string // what the config allows to URLs from events
}

// Version changes with everything that the config says of the instance, what it brings in from outside included. It shows
// nothing of it.
func (in *Instance) Version() string {
	sum := sha256.Sum256([]byte(in.written + "\x00" + in.Settings.JSON() + "\x00" + in.Auth.JSON() + in.egress))
	return hex.EncodeToString(sum[:])
}

// Subscription says which events become what.
type Subscription struct {
	ID                 string // from elsewhere; "" where there is none
	Name               string
	Action             string
	ActionKey          string      // action or partnerAction, as the file has it
	Subscribe          string      // "" for the action's default
	Mapping            event.Value // absent where there is none
	UseDefaultMappings bool
	Enabled            bool
	SyncMode           string
	Hooks              event.Value // the inputs of hooks by their names; absent where there are none
	SampleRate         float64     // the share of events that it gets: 0 to 1
	Pointer            string      // where it stands in the file
}

// Env is what a config may bring in. Zero fields are those of the process.
type Env struct {
	Lookup   func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error) // paths are relative to the file's directory
}

// Load reads a config file. Every mistake has its place; the Config holds what could be read, and is nil where nothing could.
func Load(path string, env Env) (*Config, fault.Problems) {
	text, err := os.ReadFile(path)
	if err != nil {
		message := err.Error()
		if errors.Is(err, os.ErrNotExist) {
			message = "there is no such file"
		}
		return nil, fault.Problems{{File: path, Message: message}}
	}
	return ParseAt(path, text, env)
}

// ParseAt is Load for a text that is to stand at a path: the files that it names are those beside it.
func ParseAt(path string, text []byte, env Env) (*Config, fault.Problems) {
	if env.ReadFile == nil {
		env.ReadFile = func(name string) ([]byte, error) {
			return os.ReadFile(beside(path, name))
		}
	}
	return Parse(path, text, env)
}

// Parse is Load for a text.
func Parse(name string, text []byte, env Env) (*Config, fault.Problems) {
	if env.Lookup == nil {
		env.Lookup = os.LookupEnv
	}
	if env.ReadFile == nil {
		env.ReadFile = os.ReadFile
	}
	doc, err := yamldoc.Parse(name, text)
	if err != nil {
		return nil, fault.ProblemsOf(err)
	}
	value := withOwnTexts(doc, doc.Value())
	r := reader{env: env, config: &Config{Document: doc}, problems: schemas.Check(schemas.Config, value)}
	r.config.Server.AdminKeyWanted = doc.Value().Get("admin").Get("key").Kind() != event.Absent
	if value.Get("destinations").Kind() == event.Array {
		r.read(value)
	}
	if len(r.problems) > 0 {
		return r.config, doc.Locate(r.problems)
	}
	return r.config, nil
}

// reader fills a Config and collects what is wrong.
type reader struct {
	env      Env
	config   *Config
	problems fault.Problems
}

func (r *reader) read(v event.Value) {
	r.config.Definitions, r.config.Data = v.Get("definitions").Str(), v.Get("data").Str()
	r.config.StateURL = r.secret(v.Get("state").Get("url"), "/state/url").Str()
	r.config.StateKey = r.secret(v.Get("state").Get("key"), "/state/key").Str()
	r.server(v)
	r.egress(v.Get("egress").Get("allow"))
	known, keys := map[string]bool{}, map[string]bool{}
	for i, s := range v.Get("sources").Items() {
		place := fmt.Sprintf("/sources/%d", i)
		id := s.Get("id").Str()
		if known[id] {
			r.problems.Add(place+"/id", "is taken: another source is called %q", id)
		}
		known[id] = true
		key := r.secret(s.Get("writeKey"), place+"/writeKey")
		if keys[key.Str()] {
			r.problems.Add(place+"/writeKey", "is taken: another source has the same")
		}
		keys[key.Str()] = key.Str() != ""
		r.config.Sources = append(r.config.Sources, Source{id, key.Str(), s.Get("eventsPerSecond").Float(), s.Get("deletes").Kind() == event.True})
	}
	taken := map[string]bool{}
	for i, d := range v.Get("destinations").Items() {
		place := fmt.Sprintf("/destinations/%d", i)
		in := readInstance(d, place)
		if taken[in.ID] {
			r.problems.Add(place+"/id", "is taken: another instance is called %q", in.ID)
		}
		taken[in.ID] = true
		r.checkSources(in, known)
		in.egress = v.Get("egress").JSON()
		in.Settings = r.secret(in.Settings, place+"/settings")
		in.Auth = r.secret(d.Get("auth"), place+"/auth")
		in.AccessToken = in.Auth.Get("accessToken").Str()
		r.config.Instances = append(r.config.Instances, in)
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

// InstanceOf reads one instance as a config has it, where it stands alone; nothing is brought in from outside.
func InstanceOf(v event.Value) Instance { return readInstance(v, "") }

func readInstance(v event.Value, place string) Instance {
	in := Instance{
		ID: v.Get("id").Str(), Destination: v.Get("destination").Str(), Enabled: isOn(v.Get("enabled")),
		Settings: v.Get("settings"), Pointer: place, written: v.JSON(),
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
		UseDefaultMappings: isOn(v.Get("useDefaultMappings")), Enabled: isOn(v.Get("enabled")),
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

// isOn is a flag that is true unless it says false.
func isOn(v event.Value) bool { return v.Kind() != event.False }
