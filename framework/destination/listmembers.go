package destination

import (
	"bufio"
	"context"
	"errors"
	"mime"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MemberList lists the members that audiences have at the remote, to compare them with the ledger.
type MemberList struct {
	// Fetch calls each for every user of one page, with the ledger's identities (see Identity) that the user may have, the preferred one
	// first. It returns the page that follows, or "" if it was the last. After a retryable error, it is called again for the same page.
	Fetch func(ctx context.Context, in ListInput, each func(identities []string) error) (next string, err error)
	// CompareAs returns the form in which an identity of the ledger or of Fetch is compared, for remotes that do not keep identifiers as
	// they were sent: an address in lower case, or a hash. If it is nil, identities are compared as they are.
	CompareAs func(settings event.Value, identity string) (string, error)
}

// ListInput is the input of MemberList.Fetch.
type ListInput struct {
	Deps
	Settings event.Value
	Audience Audience
	Page     string // as the call for the page before has returned it; "" for the first
}

// parseMemberList reads how the members of an audience are listed.
func (p *parser) parseMemberList(m *MemberRequests, v event.Value, place string) *request.List {
	if !v.Exists() {
		return nil
	}
	if !m.changesBoth() {
		p.problems.Add(place, "needs an action that adds and removes members: it is for landfall members diff and resync")
	}
	names := p.requestNames()
	names[request.Audience] = []string{"id", "key"}
	l, err := request.CompileList(v, names)
	p.problems.AddUnder(place, err)
	if err != nil {
		return nil
	}
	p.checkBase(l.Request, place+"/request")
	for _, key := range l.ComparedIdentifiers() {
		if !m.fields.hasKind(key) {
			p.problems.Add(place+"/compareAs"+fault.PointerKey(key), "is not one of the identifiers: %q%s", key, fault.DidYouMean(key, m.fields.identifiers()))
		}
	}
	return l
}

// hasKind reports whether a field identifies users.
func (f AudienceFields) hasKind(field string) bool {
	for _, k := range f.Kinds {
		if k.Field == field {
			return true
		}
	}
	return false
}

// declaredMemberList returns how members are listed with requests that a definition declares.
func declaredMemberList(m *MemberRequests) *MemberList {
	return &MemberList{Fetch: m.fetchMembers, CompareAs: func(settings event.Value, identity string) (string, error) {
		id, _, err := m.fields.parse(identity)
		if err == nil {
			id.Name, err = m.List.CompareAs(settings, id.Kind, id.Name)
		}
		return id.String(), err
	}}
}

// fetchMembers is MemberList.Fetch for a declared request.
func (m *MemberRequests) fetchMembers(ctx context.Context, in ListInput, each func([]string) error) (next string, err error) {
	scope := []event.Member{{Key: request.Audience, Value: event.NewObject([]event.Member{
		{Key: "id", Value: event.NewString(in.Audience.ID)}, {Key: "key", Value: event.NewString(in.Audience.Name)},
	})}}
	if in.Page != "" {
		scope = append(scope, event.Member{Key: request.Page, Value: event.NewString(in.Page)})
	}
	if m.List.IsText() {
		return "", m.fetchLines(ctx, in.Client, scope, each)
	}
	answered, err := in.Client.runRequests(ctx, m.List.Request, scope...)
	if err != nil {
		return "", err
	}
	users, next, err := m.List.Users(answered.scope, answered.answers, answered.body)
	for _, user := range users.Items() {
		if err == nil {
			err = m.passUser(user, each)
		}
	}
	return next, err
}

// maxLine is the maximum length of a line with a user in bytes.
const maxLine = 64 << 10

// fetchLines calls each for the users in the lines of a response, which may be larger than the memory.
func (m *MemberRequests) fetchLines(ctx context.Context, c Client, members []event.Member, each func([]string) error) error {
	scope, err := c.scopeOf(ctx, m.List.Request, members)
	if err != nil {
		return err
	}
	response, err := c.openFile(ctx, m.List.Request, scope)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "application/json" || kind == "text/html" {
		return fault.Invalid("the response should be text with one user in each line, but is %s", kind)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		user, err := m.List.LineUser(scope, line)
		if err == nil {
			err = m.passUser(user, each)
		}
		if err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fault.Invalid("the response has a line of more than %d bytes: it should have one user in each line", maxLine)
	}
	return lines.Err()
}

// passUser calls each with the identities of a user: an object with identifiers, or a list of objects, the preferred one first.
func (m *MemberRequests) passUser(user event.Value, each func([]string) error) error {
	if user.Kind() != event.Array {
		user = event.NewArray([]event.Value{user})
	}
	var identities []string
	for _, named := range user.Items() {
		if named.Kind() != event.Object {
			return fault.Invalid("a user in the response should be an object with identifiers, but is %s", named.Kind().WithArticle())
		}
		for field := range named.Members() {
			if !m.fields.hasKind(field) {
				return fault.Invalid("%q of a user is not one of the identifiers%s", field, fault.DidYouMean(field, m.fields.identifiers()))
			}
		}
		for _, k := range m.fields.Kinds {
			if text := named.Get(k.Field).Text(); text != "" {
				identities = append(identities, Identity{Kind: k.Field, Name: text}.String())
			}
		}
	}
	return each(identities)
}
