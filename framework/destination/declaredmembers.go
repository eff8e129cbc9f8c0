package destination

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// MemberRequests are the requests with which an action changes the members of audiences. An action has Change, or Add, or Remove, or
// Add and Remove.
type MemberRequests struct {
	Add, Remove *request.Request
	Change      *request.Request // adds and removes members in one request
	List        *request.List    // lists members; nil if the remote cannot do that

	shares bool             // a request may hold changes of several audiences
	hooked *event.Path      // the output of a hook that is the audience's id if it is set; nil if there is none
	member *mapping.Mapping // whether the user of a payload is a member; nil if properties and the event say it
	fields AudienceFields
	labels map[string]string // of the fields, by key

	switches event.Value // the defaults of the fields that are true or false, for members that are synced without events
}

// parseMembers reads how an action changes the members of audiences.
func (p *parser) parseMembers(a *ActionDefinition, v event.Value, place string) *MemberRequests {
	if !v.Exists() {
		return nil
	}
	if a.Request != nil {
		p.problems.Add(place, "cannot go with request: the action has either")
	}
	m := &MemberRequests{
		fields: p.parseMemberFields(a, v, place), hooked: p.parseHookedID(a, v.Get("idFromHook").Str(), place+"/idFromHook"),
		member: p.compileMember(v.Get("member"), place+"/member", a), labels: map[string]string{},
	}
	var switches []event.Member
	for _, f := range a.Fields {
		m.labels[f.Key] = f.Label
		if _, ok := f.Default.Bool(); ok {
			switches = append(switches, event.Member{Key: f.Key, Value: f.Default})
		}
	}
	m.switches = event.NewObject(switches)
	m.shares, _ = v.Get("sharesRequests").Bool()
	names := p.actionNames(a)
	p.addAudience(names, "id", "key", "settings")
	if m.shares { // items have the id of their payload
		names[request.Audience] = []string{"settings"}
	}
	compile := func(key string, with func(event.Value, request.Names) (*request.Request, error)) *request.Request {
		if !v.Get(key).Exists() {
			return nil
		}
		return p.compileRequestWith(with, v.Get(key), place+"/"+key, names)
	}
	m.Add, m.Remove, m.Change = compile("add", request.Compile), compile("remove", request.Compile), compile("change", request.CompileChange)
	switch both := v.Get("add").Exists() || v.Get("remove").Exists(); {
	case !both && !v.Get("change").Exists():
		p.problems.Add(place, "needs add and remove, or change, which does both")
	case both && v.Get("change").Exists():
		p.problems.Add(place+"/change", "cannot go with add and remove: it does both")
	}
	m.List = p.parseMemberList(m, v.Get("list"), place+"/list")
	return m
}

// parseMemberFields reads which fields of the action name the audience, the user and the time of a change.
func (p *parser) parseMemberFields(a *ActionDefinition, v event.Value, place string) AudienceFields {
	fields := AudienceFields{
		Action: a.Key, ID: v.Get("id").Str(), Key: v.Get("key").Str(), Properties: v.Get("properties").Str(), Time: v.Get("time").Str(), Ignores: v.Get("ignores").Str(),
	}
	for _, key := range []string{"id", "key", "properties", "time"} {
		if v.Get(key).IsString() { // otherwise the schema reports it
			p.checkField(a, v.Get(key).Str(), place+"/"+key)
		}
	}
	for i, field := range v.Get("identifiers").Items() {
		fields.Kinds = append(fields.Kinds, IdentityKind{Field: field.Str()})
		p.checkField(a, field.Str(), fmt.Sprintf("%s/identifiers/%d", place, i))
	}
	return fields
}

// parseHookedID reads which output of a hook is the id of the audience; nil if text is "".
func (p *parser) parseHookedID(a *ActionDefinition, text, place string) *event.Path {
	if text == "" {
		return nil
	}
	path := event.NewPath(text)
	keys := path.Keys()
	if h := a.Hook(keys[0]); h == nil || len(keys) != 2 || h.Outputs.Get(keys[1]) == nil {
		p.problems.Add(place, "should be an output of a hook, such as %s.id, but is %q", RETLOnMappingSave, text)
	}
	return &path
}

// compileMember compiles the mapping that says whether a user is a member; nil if there is none.
func (p *parser) compileMember(v event.Value, place string, a *ActionDefinition) *mapping.Mapping {
	if !v.Exists() {
		return nil
	}
	p.problems.AddUnder(place, request.CheckMapping(v, p.actionNames(a).Only(request.Settings, request.Payload, request.SyncMode)))
	m, _ := mapping.Compile(mapping.ConvertTemplates(v)) // CheckMapping has reported its mistakes
	return m
}

// checkField reports a field that the action does not have.
func (p *parser) checkField(a *ActionDefinition, key, place string) {
	if a.Fields.Get(key) == nil {
		p.problems.Add(place, "is not a field of %s: %q%s", a.Key, key, fault.DidYouMean(key, a.Fields.Keys()))
	}
}

// changesBoth reports whether the action can both add and remove members.
func (m *MemberRequests) changesBoth() bool {
	return m.Change != nil || m.Add != nil && m.Remove != nil
}

// requests returns the requests that change members.
func (m *MemberRequests) requests() (list []*request.Request) {
	for _, r := range []*request.Request{m.Add, m.Remove, m.Change} {
		if r != nil {
			list = append(list, r)
		}
	}
	return list
}

// allRequests returns the requests that the action has, and the one that lists members.
func (m *MemberRequests) allRequests() []*request.Request {
	if m.List == nil {
		return m.requests()
	}
	return append(m.requests(), m.List.Request)
}

// maxMembers returns how many changes a request holds; 0 if there is no fixed limit.
func (m *MemberRequests) maxMembers() int {
	most := 0
	for _, r := range m.requests() {
		if n := r.MaxPayloads(); n > 0 && (most == 0 || n < most) {
			most = n
		}
	}
	return most
}

// requestFor returns the request for a change.
func (m *MemberRequests) requestFor(member bool) *request.Request {
	switch {
	case m.Change != nil:
		return m.Change
	case member:
		return m.Add
	}
	return m.Remove
}

// membersAction returns an Action that keeps audiences with requests that a definition declares.
func membersAction(m *MemberRequests) Action {
	return Action{batches: true, perform: func(ctx context.Context, in Input) (*MultiStatus, error) {
		d := declaredMembers{MemberRequests: m, in: m.withSwitches(in), settings: map[string]event.Value{}}
		call := BatchCall[event.Value, event.Value]{
			Deps: in.Deps, Origin: in.Origin, Settings: in.Settings, Payloads: in.Payloads, Membership: in.membershipOf,
		}
		return SyncAudience(ctx, call, AudienceSync{
			Read: d.readChange, Change: d.changeMembers, MaxMembers: m.maxMembers(), OneWay: m.Change == nil, SendRepeats: true, SharesRequests: m.shares,
			Divisible: func(*fault.Error) bool { return false },
		}), nil
	}}
}

// withSwitches returns an input whose payloads have the defaults of the switches if they have no events, which no mapping has made.
func (m *MemberRequests) withSwitches(in Input) Input {
	if m.switches.Len() == 0 || len(in.Events) > 0 && in.Events[0].Value().Exists() {
		return in
	}
	payloads := make([]event.Value, len(in.Payloads))
	for i, payload := range in.Payloads {
		payloads[i] = Overlay(m.switches, payload)
	}
	in.Payloads = payloads
	return in
}

// declaredMembers performs payloads that change the members of audiences.
type declaredMembers struct {
	*MemberRequests
	in       Input
	settings map[string]event.Value // of audiences by id: those of the first event that has some
}

// readChange returns what payload i says.
func (d *declaredMembers) readChange(i int) (c MemberChange, err error) {
	payload, f := d.in.Payloads[i], d.fields
	c.Audience = Audience{ID: payload.Get(f.ID).Text(), Name: payload.Get(f.Key).Text()}
	if d.hooked != nil {
		c.Audience.ID = cmp.Or(d.hooked.Read(d.in.HookOutputs).Text(), c.Audience.ID)
	}
	if c.Audience.ID == "" {
		return c, fault.Invalid("%s is missing: it says which audience the event is about", d.labels[f.ID]).Because(fault.CauseIncomplete)
	}
	if c.Identity = d.identityOf(payload); c.Identity.Name == "" {
		return c, fault.Invalid("no identifier: %s", d.absentText()).Because(fault.CauseNoIdentifier)
	}
	if c.At, err = d.timeOf(i); err != nil {
		return c, err
	}
	if c.Member, err = d.isMember(i, c.Audience.Name); err != nil {
		return c, err
	}
	d.noteSettings(i, c.Audience.ID)
	call := declaredCall{r: d.requestFor(c.Member), in: d.in, audience: d.audienceValue(c.Audience)}
	return c, call.r.Refusal(call.scopeFor(payload))
}

// isMember reports whether payload i says that its user is a member. An action with one direction need not be told.
func (d *declaredMembers) isMember(i int, key string) (bool, error) {
	if !d.changesBoth() {
		return d.Add != nil, nil
	}
	payload := d.in.Payloads[i]
	if d.member != nil {
		call := declaredCall{in: d.in}
		v, err := d.member.Resolve(call.scopeFor(payload))
		if err != nil || v.Kind() == event.True || v.Kind() == event.False {
			return v.Kind() == event.True, err
		}
	}
	properties := payload.Get(d.fields.Properties)
	member, err := ReadMembership(d.labels[d.fields.Properties], properties, key, func() Membership { return d.in.membershipOf(i) })
	if err != nil && !properties.Exists() {
		err = unclearMembership(d.eventOf(i), d.in.SyncMode)
	}
	return member, err
}

// identityOf returns the first identifier of a payload that is not blank.
func (d *declaredMembers) identityOf(payload event.Value) Identity {
	for _, k := range d.fields.Kinds {
		if name := payload.Get(k.Field).Text(); strings.TrimSpace(name) != "" {
			return Identity{Kind: k.Field, Name: name}
		}
	}
	return Identity{}
}

// absentText says that the identifiers are absent.
func (m *MemberRequests) absentText() string {
	var labels []string
	for _, k := range m.fields.Kinds {
		labels = append(labels, m.labels[k.Field])
	}
	if len(labels) == 1 {
		return labels[0] + " is absent"
	}
	last := len(labels) - 1
	return strings.Join(labels[:last], ", ") + " and " + labels[last] + " are all absent"
}

// timeOf returns the time of a change: that of the payload, otherwise that of the event, otherwise now.
func (d *declaredMembers) timeOf(i int) (time.Time, error) {
	v := d.in.Payloads[i].Get(d.fields.Time)
	if v.Text() == "" {
		v = d.eventOf(i).Get("timestamp")
	}
	if v.Text() == "" {
		if d.in.Now == nil {
			return time.Time{}, nil
		}
		return d.in.Now(), nil
	}
	return ReadTime(d.labels[d.fields.Time], v.Text())
}

// eventOf returns the event of payload i; absent if members are synced without events.
func (d *declaredMembers) eventOf(i int) event.Value {
	if i >= len(d.in.Events) {
		return event.Value{}
	}
	return d.in.Events[i].Value()
}

// audienceValue returns an audience as requests read it.
func (d *declaredMembers) audienceValue(a Audience) event.Value {
	return event.NewObject([]event.Member{
		{Key: "id", Value: event.NewString(a.ID)}, {Key: "key", Value: event.NewString(a.Name)}, {Key: "settings", Value: d.settingsOf(a.ID)},
	})
}

// changeMembers sends changes of one audience, or of several with the same settings at a time.
func (d *declaredMembers) changeMembers(ctx context.Context, audience Audience, changes []*MemberChange) error {
	errors := map[int]error{}
	var last error
	parts := d.likeSettings(changes)
	for _, which := range parts {
		part := make([]*MemberChange, len(which))
		for n, i := range which {
			part[n] = changes[i]
		}
		call, err := d.callFor(ctx, audience, part)
		if err == nil {
			err = call.sendAll(ctx)
		}
		for n, i := range which {
			if err == nil && call.ms.Result(n).Outcome == Failed {
				errors[i], last = call.ms.Result(n).Err, call.ms.Result(n).Err
			} else if err != nil {
				errors[i], last = err, err
			}
		}
	}
	switch {
	case len(errors) == 0:
		return nil
	case len(errors) == len(changes) && len(parts) == 1 && stopsAudience(last):
		return last
	}
	return &ItemErrors{Errors: errors}
}

// stopsAudience reports whether nothing more should be sent after an error: the remote cannot be reached or refuses the credentials.
func stopsAudience(err error) bool {
	e := fault.As(err)
	return e.Retry || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// callFor returns the call for changes of an audience.
func (d *declaredMembers) callFor(ctx context.Context, audience Audience, changes []*MemberChange) (*declaredCall, error) {
	in := d.in
	in.Payloads = make([]event.Value, len(changes))
	members := make([]bool, len(changes))
	for i, c := range changes {
		in.Payloads[i], members[i] = d.in.Payloads[c.index], c.Member
	}
	if d.shares { // all have its settings, which is what the request reads
		audience = changes[0].Audience
	}
	r := d.requestFor(members[0])
	token, err := in.Client.authFor(ctx, r.UsesToken())
	call := &declaredCall{r: r, in: in, auth: token, ms: NewMultiStatus(len(changes)), audience: d.audienceValue(audience)}
	if d.Change != nil {
		call.members = members
	}
	return call, err
}
