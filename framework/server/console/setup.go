package console

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// configFile is the current config file. Its text is nil if the file does not exist.
type configFile struct {
	text []byte
	root event.Value // always an object
}

func (c *Console) readConfigFile() (configFile, error) {
	text, err := textfile.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return configFile{root: event.NewObject(nil)}, nil
	}
	if err != nil {
		return configFile{}, err
	}
	doc, err := yamldoc.Parse(c.File, text)
	if err != nil {
		return configFile{}, err
	}
	root := doc.Value()
	if root.Kind() != event.Object {
		root = event.NewObject(nil)
	}
	return configFile{text, root}, nil
}

// findInstance returns an instance and its index. If no instance has the id, it returns an absent value and the length of the list.
func (f configFile) findInstance(id string) (event.Value, int) {
	list := f.root.Get("destinations")
	for i, in := range list.Items() {
		if id != "" && in.Get("id").Str() == id {
			return in, i
		}
	}
	return event.Value{}, list.Len()
}

// withID returns the config with another id for an instance, so that what it refers to stays known. If the id is in use, nothing changes.
func (f configFile) withID(from, to string) event.Value {
	in, at := f.findInstance(from)
	if _, used := f.findInstance(to); used < f.root.Get("destinations").Len() || in.Kind() == event.Absent || to == "" {
		return f.root
	}
	return f.withInstance(at, event.NewObject(setMember(membersOf(in), "id", event.NewString(to))), additions{})
}

// withInstance returns the config with the instance at an index replaced or appended; an absent value removes it.
func (f configFile) withInstance(at int, in event.Value, extra additions) event.Value {
	var list []event.Value
	for _, v := range f.root.Get("destinations").Items() {
		list = append(list, v)
	}
	switch {
	case in.Kind() == event.Absent:
		list = append(list[:at:at], list[at+1:]...)
	case at < len(list):
		list[at] = in
	default:
		list = append(list, in)
	}
	members := membersOf(f.root)
	text := event.NewString
	if extra.SourceID != "" {
		sources := []event.Value{event.NewObject([]event.Member{{Key: "id", Value: text(extra.SourceID)}, {Key: "writeKey", Value: text(extra.SourceKey)}})}
		members = setMember(members, "sources", event.NewArray(sources))
	}
	if extra.StateKey != "" {
		members = setMember(members, "state", event.NewObject(setMember(membersOf(f.root.Get("state")), "key", text(extra.StateKey))))
	}
	return event.NewObject(setMember(members, "destinations", event.NewArray(list)))
}

// setupView is the page that lists the instances.
type setupView struct {
	File      string
	Exists    bool
	Error     string
	Done      string
	Instances []setupRow
	Entries   []destination.Entry
	Problems  fault.Problems
	Removed   []leftData
}

type setupRow struct {
	ID, Name, Destination string
	Enabled               bool
	Subscriptions         int
	Login                 *loginState
}

func (c *Console) handleSetup(w http.ResponseWriter, r *http.Request) {
	known := c.knownDestinations()
	view := setupView{File: c.File, Entries: c.entriesOf(known), Done: r.FormValue("done")}
	f, err := c.readConfigFile()
	if err != nil {
		view.Problems = fault.ProblemsOf(err)
	}
	view.Exists = f.text != nil || err != nil
	view.Removed = c.removedData()
	logins := map[string]*loginState{}
	if f.text != nil {
		cfg, problems := c.loadConfig()
		instances, err := c.BuildPlans(cfg, problems, Real, nil)
		view.Problems = fault.ProblemsOf(err)
		for _, in := range instances {
			logins[in.Plan.ID()] = c.loginStateOf(r.Context(), in)
		}
	}
	for _, in := range f.root.Get("destinations").Items() {
		row := setupRow{ID: in.Get("id").Str(), Name: instanceName(in), Destination: in.Get("destination").Str(), Enabled: in.Get("enabled").Kind() != event.False, Subscriptions: in.Get("subscriptions").Len()}
		if entry, err := known.Find(row.Destination); err == nil {
			row.Destination = entry.Definition.Name
		}
		row.Login = logins[row.ID]
		view.Instances = append(view.Instances, row)
	}
	c.renderPage(w, r, http.StatusOK, "setup", page{Title: "Setup", Section: "setup", Data: view})
}

// editView is the form page of one instance.
type editView struct {
	*setupForm
	File        string
	Samples     []sample
	Chosen      string
	Sample      string
	Preview     previewView
	Credentials *credentialsView // result of the credential test; nil if not tested
	CanTest     bool
	HasSandbox  bool
	SandboxOnly bool
	Limit       int
	Tree        []treeNode
	Undo        string // draft of the form before the last button; "" if there was none
	Changed     bool   // the form has changes that are not in the file
}

// credentialsView is the result of a credential test.
type credentialsView struct {
	Valid           bool
	Untested        bool // the destination has no such test
	Message, Detail string
}

type previewView struct {
	Problem      string
	Explanations []explanationView
}

func (c *Console) handleNewInstance(w http.ResponseWriter, r *http.Request) {
	entry, ok := c.findDestination(r.PathValue("slug"))
	f, err := c.readConfigFile()
	if !ok || err != nil {
		c.renderEditError(w, r, err)
		return
	}
	d := entry.Definition
	form := newForm(event.NewObject(nil), f.root, d)
	form.ID = c.freeID(f, d.Slug)
	for _, s := range form.Settings {
		if s.TestInput != "" && s.Field.Required.Always {
			s.Text = "${" + strings.ToUpper(strings.ReplaceAll(d.Slug, "-", "_")+"_"+s.Field.Key) + "}"
		}
	}
	if len(form.Sources) == 0 {
		form.Added.SourceID, form.Added.SourceKey = "web", "${WRITE_KEY}"
	}
	if form.NeedsStateKey {
		form.Added.StateKey = "${LANDFALL_KEY}"
	}
	for _, p := range d.Presets {
		if p.Type == "automatic" {
			form.addPreset(p)
			break
		}
	}
	if len(form.Subscriptions) == 0 && len(d.Actions) > 0 {
		form.addAction(d.Actions[0].Key)
	}
	c.renderForm(w, r, entry, form, url.Values{})
}

// freeID returns an instance id, derived from the slug, that no instance has, and under which no data of a removed instance is stored.
func (c *Console) freeID(f configFile, slug string) string {
	id := slug
	for n := 2; ; n++ {
		if v, _ := f.findInstance(id); v.Kind() == event.Absent && !c.isRemoved(id) {
			return id
		}
		id = slug + "-" + strconv.Itoa(n)
	}
}

func (c *Console) handleEditInstance(w http.ResponseWriter, r *http.Request) {
	f, err := c.readConfigFile()
	raw, _ := f.findInstance(pathID(r, "id"))
	entry, ok := c.findDestination(raw.Get("destination").Str())
	if !ok || err != nil {
		c.renderEditError(w, r, err)
		return
	}
	c.renderForm(w, r, entry, newForm(raw, f.root, entry.Definition), url.Values{})
}

func (c *Console) renderEditError(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		c.renderError(w, r, http.StatusConflict, "setup", "Cannot read the config file", err.Error())
		return
	}
	c.renderError(w, r, http.StatusNotFound, "setup", "Nothing to set up", "The config has no such instance, or the catalogue has no such destination.")
}

// renderForm checks the form and shows it.
func (c *Console) renderForm(w http.ResponseWriter, r *http.Request, entry destination.Entry, form *setupForm, q url.Values) {
	view := editView{
		setupForm: form, File: c.File, Samples: c.sampleEvents(r.Context()), Sample: q.Get("sample"), Chosen: q.Get("pick"), CanTest: entry.Plugin.Test != nil,
		HasSandbox: entry.Plugin.Sandbox != nil, SandboxOnly: c.SandboxOnly, Limit: entry.Definition.Limits.Subscriptions,
	}
	do := q.Get("do")
	switch {
	case do == "pick" || q.Get("pick") != "" && view.Sample == "":
		view.Chosen, view.Sample = chooseSample(view.Samples, q.Get("pick"))
	case view.Sample == "":
		view.Chosen, view.Sample = chooseSample(view.Samples, form.matchingSample(view.Samples))
	}
	form.Open = min(max(form.Open, 0), max(len(form.Subscriptions)-1, 0))
	view.Tree, view.Changed = sampleTree(view.Sample), len(q) > 0
	if isUndoable(do) {
		view.Undo = c.drafts.storeDraft(draft{form: withoutAction(q), made: time.Now()})
	}
	c.checkForm(form)
	view.Preview = c.previewSample(r.Context(), form, view.Sample)
	to := Real
	if do == "credentials-sandbox" || c.SandboxOnly {
		to = Sandbox
	}
	if key, ok := strings.CutPrefix(do, "choices:"); ok {
		c.fetchChoices(r.Context(), form, q, key, to)
	}
	if do == "credentials" || do == "credentials-sandbox" {
		view.Credentials = c.testCredentials(r.Context(), form, q, to)
	}
	title := "New " + entry.Definition.Name
	if form.Original != "" {
		title = form.Original
	}
	c.renderPage(w, r, http.StatusOK, "edit", page{Title: title, Section: "setup", Data: view})
}

// matchingSample returns the key of the first sample that matches the first subscription; "" if none does.
func (f *setupForm) matchingSample(samples []sample) string {
	if len(f.Subscriptions) == 0 || f.Subscriptions[0].Action == nil {
		return ""
	}
	query, err := fql.Compile(f.Subscriptions[0].query())
	if err != nil {
		return ""
	}
	for _, s := range samples {
		if e, err := event.Parse([]byte(s.Text)); err == nil && query.Match(e.Value()) {
			return s.Key
		}
	}
	return ""
}

// submittedForm is a form as the browser has sent it, with what it is about.
type submittedForm struct {
	*setupForm
	file  configFile
	at    int // index of the form's instance in the file
	entry destination.Entry
}

// parseForm returns the submitted form.
func (c *Console) parseForm(q url.Values) (submittedForm, error) {
	f, err := c.readConfigFile()
	if err != nil {
		return submittedForm{}, err
	}
	raw, at := f.findInstance(q.Get("original"))
	entry, ok := c.findDestination(q.Get("slug"))
	if !ok {
		return submittedForm{}, errors.New("the catalogue has no destination with the form's slug")
	}
	if raw.Kind() == event.Absent {
		raw = event.NewObject(nil)
	}
	return submittedForm{setupForm: readForm(q, raw, f.root, entry.Definition), file: f, at: at, entry: entry}, nil
}

// handleFormAction runs the action of the button that submitted the form.
func (c *Console) handleFormAction(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // parameters that cannot be parsed are missing
	q := r.PostForm
	if id := q.Get("draft"); id != "" {
		if d, ok := c.drafts.findDraft(id); ok {
			q = d.form
		}
	}
	form, err := c.parseForm(withCardItems(q))
	if err != nil {
		c.renderEditError(w, r, err)
		return
	}
	do, rest, _ := strings.Cut(q.Get("do"), ":")
	n, _ := strconv.Atoi(rest)
	switch do {
	case "add":
		form.addAction(q.Get("add"))
		form.Open = len(form.Subscriptions) - 1
	case "preset":
		if presets := form.entry.Definition.Presets; n >= 0 && n < len(presets) {
			form.addPreset(presets[n])
			form.Open = len(form.Subscriptions) - 1
		}
	case "remove":
		form.removeSubscription(n)
	case "json", "fields":
		if n >= 0 && n < len(form.Subscriptions) {
			form.Subscriptions[n].setJSONMode(do == "json")
		}
	case "delete":
		c.renderReview(w, r, q, form.setupForm, form.file, form.file.withInstance(form.at, event.Value{}, additions{}))
		return
	case "review":
		c.renderReview(w, r, q, form.setupForm, form.file, form.file.withInstance(form.at, form.instanceValue(), form.Added))
		return
	default:
		form.handleEditorAction(do, rest)
	}
	c.renderForm(w, r, form.entry, form.setupForm, q)
}
