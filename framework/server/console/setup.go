package console

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// file is the config file as it is now, which may not be there yet.
type file struct {
	text []byte
	root event.Value // an object
}

func (c *Console) read() (file, error) {
	text, err := os.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return file{root: event.NewObject(nil)}, nil
	}
	if err != nil {
		return file{}, err
	}
	doc, err := yamldoc.Parse(c.File, text)
	if err != nil {
		return file{}, err
	}
	root := doc.Value()
	if root.Kind() != event.Object {
		root = event.NewObject(nil)
	}
	return file{text, root}, nil
}

// find is an instance by its id, and where it stands; absent where there is none.
func (f file) find(id string) (event.Value, int) {
	list := f.root.Get("destinations")
	for i, in := range list.Items() {
		if id != "" && in.Get("id").Str() == id {
			return in, i
		}
	}
	return event.Value{}, list.Len()
}

// with is the file with an instance in a place, or, for an absent one, without what stands there.
func (f file) with(at int, in event.Value, more added) event.Value {
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
	if more.SourceID != "" {
		sources := []event.Value{event.NewObject([]event.Member{{Key: "id", Value: text(more.SourceID)}, {Key: "writeKey", Value: text(more.SourceKey)}})}
		members = set(members, "sources", event.NewArray(sources))
	}
	if more.StateKey != "" {
		members = set(members, "state", event.NewObject(set(membersOf(f.root.Get("state")), "key", text(more.StateKey))))
	}
	return event.NewObject(set(members, "destinations", event.NewArray(list)))
}

// setupList is what the file has.
type setupList struct {
	File      string
	Exists    bool
	Error     string
	Done      string
	Instances []setupRow
	Entries   []destination.Entry
	Problems  fault.Problems
}

type setupRow struct {
	ID, Destination string
	Enabled         bool
	Subscriptions   int
	Login           *loginState
}

func (c *Console) setup(w http.ResponseWriter, r *http.Request) {
	view := setupList{File: c.File, Entries: c.entries(), Done: r.FormValue("done")}
	f, err := c.read()
	if err != nil {
		view.Problems = fault.ProblemsOf(err)
	}
	view.Exists = f.text != nil || err != nil
	logins := map[string]*loginState{}
	if f.text != nil {
		cfg, problems := c.load()
		instances, err := c.Make(cfg, problems, Real, nil)
		view.Problems = fault.ProblemsOf(err)
		for _, in := range instances {
			logins[in.Plan.ID()] = c.loginOf(r.Context(), in)
		}
	}
	for _, in := range f.root.Get("destinations").Items() {
		row := setupRow{ID: in.Get("id").Str(), Destination: in.Get("destination").Str(), Enabled: in.Get("enabled").Kind() != event.False, Subscriptions: in.Get("subscriptions").Len()}
		if entry, ok := c.find(row.Destination); ok {
			row.Destination = entry.Definition.Name
		}
		row.Login = logins[row.ID]
		view.Instances = append(view.Instances, row)
	}
	c.show(w, r, http.StatusOK, "setup", page{Title: "Set-up", Section: "setup", Data: view})
}

// editView is the page of one instance.
type editView struct {
	*setupForm
	File      string
	Samples   []sample
	Chosen    string
	Sample    string
	Stories   previewView
	Asked     *answerView // of the credentials
	CanTest   bool
	Sandboxed bool // the destination has a sandbox
	Pretends  bool
	Limit     int
}

// answerView is what a remote says of credentials.
type answerView struct {
	Good          bool
	Message, Told string
}

type previewView struct {
	Problem string
	Stories []storyView
}

func (c *Console) setupNew(w http.ResponseWriter, r *http.Request) {
	entry, ok := c.find(r.PathValue("slug"))
	f, err := c.read()
	if !ok || err != nil {
		c.cannotEdit(w, r, err)
		return
	}
	d := entry.Definition
	form := formOf(event.NewObject(nil), f.root, d)
	form.ID = freeID(f, d.Slug)
	for _, s := range form.Settings {
		if s.Try != "" && s.Field.Required.Always {
			s.Text = "${" + strings.ToUpper(strings.ReplaceAll(d.Slug, "-", "_")+"_"+s.Field.Key) + "}"
		}
	}
	if len(form.Sources) == 0 {
		form.Added.SourceID, form.Added.SourceKey = "web", "${WRITE_KEY}"
	}
	if form.NeedsKey {
		form.Added.StateKey = "${LANDFALL_KEY}"
	}
	for _, p := range d.Presets {
		if p.Type == "automatic" {
			form.addPreset(p)
			break
		}
	}
	if len(form.Subs) == 0 && len(d.Actions) > 0 {
		form.addAction(d.Actions[0].Key)
	}
	c.showForm(w, r, entry, form, url.Values{})
}

// freeID is an id for an instance that no other one has.
func freeID(f file, slug string) string {
	id := slug
	for n := 2; ; n++ {
		if v, _ := f.find(id); v.Kind() == event.Absent {
			return id
		}
		id = slug + "-" + strconv.Itoa(n)
	}
}

func (c *Console) setupEdit(w http.ResponseWriter, r *http.Request) {
	f, err := c.read()
	raw, _ := f.find(r.PathValue("id"))
	entry, ok := c.find(raw.Get("destination").Str())
	if !ok || err != nil {
		c.cannotEdit(w, r, err)
		return
	}
	c.showForm(w, r, entry, formOf(raw, f.root, entry.Definition), url.Values{})
}

func (c *Console) cannotEdit(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		c.fail(w, r, http.StatusConflict, "setup", "The file cannot be read", err.Error())
		return
	}
	c.fail(w, r, http.StatusNotFound, "setup", "Nothing to set up", "The file has no such instance, or the catalogue no such destination.")
}

// showForm checks a form as it is and shows it.
func (c *Console) showForm(w http.ResponseWriter, r *http.Request, entry destination.Entry, form *setupForm, q url.Values) {
	view := editView{
		setupForm: form, File: c.File, Samples: c.samples(r.Context()), Sample: q.Get("sample"), Chosen: q.Get("pick"), CanTest: entry.Plugin.Test != nil,
		Sandboxed: entry.Plugin.Sandbox != nil, Pretends: c.Pretends, Limit: entry.Definition.Limits.Subscriptions,
	}
	do := q.Get("do")
	switch {
	case do == "pick" || q.Get("pick") != "" && view.Sample == "":
		view.Chosen, view.Sample = sampleText(view.Samples, q.Get("pick"))
	case view.Sample == "":
		view.Chosen, view.Sample = sampleText(view.Samples, form.fitting(view.Samples))
	}
	c.checkForm(form)
	view.Stories = c.tryOut(r.Context(), form, view.Sample)
	to := Real
	if do == "credentials-sandbox" || c.Pretends {
		to = Sandbox
	}
	if key, ok := strings.CutPrefix(do, "choices:"); ok {
		c.fetchChoices(r.Context(), form, q, key, to)
	}
	if do == "credentials" || do == "credentials-sandbox" {
		view.Asked = c.askRemote(r.Context(), form, q, to)
	}
	title := "New " + entry.Definition.Name
	if form.Original != "" {
		title = form.Original
	}
	c.show(w, r, http.StatusOK, "edit", page{Title: title, Section: "setup", Data: view})
}

// fitting is the key of the first sample that the first subscription takes; "" where there is none.
func (f *setupForm) fitting(samples []sample) string {
	if len(f.Subs) == 0 || f.Subs[0].Action == nil {
		return ""
	}
	query, err := fql.Compile(cmp.Or(f.Subs[0].Subscribe, f.Subs[0].Action.DefaultSubscription))
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

// formIn reads the form that was sent.
func (c *Console) formIn(q url.Values) (*setupForm, file, int, destination.Entry, error) {
	f, err := c.read()
	if err != nil {
		return nil, f, 0, destination.Entry{}, err
	}
	raw, at := f.find(q.Get("original"))
	entry, ok := c.find(q.Get("slug"))
	if !ok {
		return nil, f, at, entry, errors.New("the form names no destination of the catalogue")
	}
	if raw.Kind() == event.Absent {
		raw = event.NewObject(nil)
	}
	return readForm(q, raw, f.root, entry.Definition), f, at, entry, nil
}

// setupChange does what a button of the form says.
func (c *Console) setupChange(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what cannot be read is not there
	q := r.PostForm
	if id := q.Get("draft"); id != "" {
		if d, ok := c.drafts.get(id); ok {
			q = d.form
		}
	}
	form, f, at, entry, err := c.formIn(q)
	if err != nil {
		c.cannotEdit(w, r, err)
		return
	}
	do, rest, _ := strings.Cut(q.Get("do"), ":")
	n, _ := strconv.Atoi(rest)
	switch do {
	case "add":
		form.addAction(q.Get("add"))
	case "preset":
		if n >= 0 && n < len(entry.Definition.Presets) {
			form.addPreset(entry.Definition.Presets[n])
		}
	case "remove":
		form.remove(n)
	case "json", "fields":
		if n >= 0 && n < len(form.Subs) {
			form.Subs[n].show(do == "json")
		}
	case "delete":
		c.review(w, r, q, form, f, f.with(at, event.Value{}, added{}))
		return
	case "review":
		c.review(w, r, q, form, f, f.with(at, form.instance(), form.Added))
		return
	}
	c.showForm(w, r, entry, form, q)
}

func (f *setupForm) addAction(key string) {
	if f.Definition.Action(key) == nil {
		return
	}
	f.Subs = append(f.Subs, f.subOf(len(f.Subs), -1, event.NewObject([]event.Member{
		{Key: "name", Value: event.NewString(f.freeName(f.Definition.Action(key).Title))}, {Key: "action", Value: event.NewString(key)},
	})))
	f.Subs[len(f.Subs)-1].raw = event.Value{}
	f.dependencies()
}

func (f *setupForm) addPreset(p destination.Preset) {
	list := []event.Member{{Key: "name", Value: event.NewString(f.freeName(p.Name))}, {Key: "action", Value: event.NewString(p.Action)}}
	if p.Subscribe != "" {
		list = append(list, event.Member{Key: "subscribe", Value: event.NewString(p.Subscribe)})
	}
	if p.Mapping.Kind() == event.Object {
		list = append(list, event.Member{Key: "mapping", Value: p.Mapping})
	}
	f.Subs = append(f.Subs, f.subOf(len(f.Subs), -1, event.NewObject(list)))
	f.Subs[len(f.Subs)-1].raw = event.Value{}
	f.dependencies()
}

// freeName is a name for a subscription that no other one has.
func (f *setupForm) freeName(name string) string {
	free := name
	for n := 2; ; n++ {
		taken := false
		for _, s := range f.Subs {
			taken = taken || s.Name == free
		}
		if !taken {
			return free
		}
		free = name + " " + strconv.Itoa(n)
	}
}

// remove takes a subscription away; the others move up.
func (f *setupForm) remove(n int) {
	if n < 0 || n >= len(f.Subs) {
		return
	}
	f.Subs = append(f.Subs[:n:n], f.Subs[n+1:]...)
	for i, s := range f.Subs {
		s.I = i
		for _, in := range s.all() {
			in.Name = "s." + strconv.Itoa(i) + ".f." + in.Field.Key
		}
	}
}

// show has the mapping entered as JSON, or field by field.
func (s *subInput) show(asJSON bool) {
	m := s.mapping()
	if !asJSON && len(s.Errors["json"]) > 0 {
		return // what cannot be read stays as it is
	}
	s.AsJSON = false
	s.drawMapping(m)
	s.AsJSON = asJSON
}
