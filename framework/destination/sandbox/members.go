package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// What a route does with the members of a list.
const (
	addMembers    = "add"
	removeMembers = "remove"
	listMembers   = "list"
)

// Limits of lists.
const (
	maxMembers = 100_000 // of all lists
	pageSize   = 1000    // by default
)

// memberRoute says how a route changes or lists the members of a list.
type memberRoute struct {
	do                string           // addMembers, removeMembers or listMembers
	list, users, page *mapping.Mapping // over path, query, body and items; page is nil for a list that is not paged
	by                []string         // the keys that identify a user
	size              int              // of a page
	body              *mapping.Mapping // of the response with a page, over users and next
}

// compileMembers compiles the members of a route, whose response has a body; nil if it has none.
func compileMembers(v, body event.Value) (*memberRoute, error) {
	if !v.Exists() {
		return nil, nil
	}
	m := &memberRoute{do: v.Get("do").Str(), size: pageSize}
	if n := v.Get("size").Int(); n > 0 {
		m.size = int(n)
	}
	for _, key := range v.Get("by").Items() {
		m.by = append(m.by, key.Str())
	}
	var problems fault.Problems
	compile := func(key string, part event.Value, needed bool, to **mapping.Mapping) {
		if !part.Exists() && needed {
			problems.Add("", "needs %s", key)
		}
		if part.Exists() {
			var err error
			*to, err = mapping.Compile(part)
			problems.AddUnder("/"+key, err)
		}
	}
	compile("list", v.Get("list"), true, &m.list)
	compile("page", v.Get("page"), false, &m.page)
	if m.do == listMembers {
		var err error
		if m.body, err = mapping.Compile(body); err != nil {
			problems.Add("", "needs a response whose body is a mapping: %v", err)
		}
		return m, problems.Err()
	}
	compile("users", v.Get("users"), true, &m.users)
	if len(m.by) == 0 {
		problems.Add("", "needs by, the keys that identify a user")
	}
	return m, problems.Err()
}

// useMembers changes or lists the members that a request names, and returns the response.
func (d *Declared) useMembers(route *route, r *http.Request, body event.Value, items []event.Value) (declaredResponse, error) {
	m, scope := route.members, route.scopeOf(r, body, items)
	list, err := m.list.Resolve(scope)
	if err != nil || list.Text() == "" && m.do != listMembers { // a request that changes no list
		return route.response, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.do == listMembers {
		return m.listPage(route.response, scope, d.lists[list.Text()])
	}
	users, err := m.users.Resolve(scope)
	if err != nil {
		return route.response, err
	}
	if d.lists == nil {
		d.lists = map[string][]event.Value{}
	}
	for _, user := range users.Items() {
		kept := slices.DeleteFunc(d.lists[list.Text()], func(other event.Value) bool { return m.isSame(user, other) })
		if m.do == addMembers {
			if d.memberCount() >= maxMembers {
				return route.response, fmt.Errorf("the sandbox keeps at most %d members", maxMembers)
			}
			kept = append(kept, user)
		}
		d.lists[list.Text()] = kept
	}
	return route.response, nil
}

// memberCount returns the number of members of all lists.
func (d *Declared) memberCount() (n int) {
	for _, users := range d.lists {
		n += len(users)
	}
	return n
}

// isSame reports whether two users have the same value of a key that identifies users.
func (m *memberRoute) isSame(a, b event.Value) bool {
	return slices.ContainsFunc(m.by, func(key string) bool {
		text := a.Get(key).Text()
		return text != "" && text == b.Get(key).Text()
	})
}

// listPage returns the response with a page of users. A page is named by the number of users before it.
func (m *memberRoute) listPage(response declaredResponse, scope event.Value, users []event.Value) (declaredResponse, error) {
	start := 0
	if m.page != nil {
		page, err := m.page.Resolve(scope)
		if err != nil {
			return response, err
		}
		if start, err = strconv.Atoi(page.Text()); err != nil && page.Text() != "" || start < 0 || start > len(users) {
			return response, fmt.Errorf("there is no page %q", page.Text())
		}
	}
	end, next := len(users), event.Value{}
	if m.page != nil && start+m.size < end {
		end = start + m.size
		next = event.NewString(strconv.Itoa(end))
	}
	body, err := m.body.Resolve(event.NewObject([]event.Member{{Key: "users", Value: event.NewArray(users[start:end])}, {Key: "next", Value: next}}))
	if err != nil {
		return response, err
	}
	response.body, response.plain = body.JSON(), body.IsString()
	if response.plain {
		response.body = body.Str()
	}
	return response, nil
}

// scopeOf returns what mappings of members read of a request: the segments of its path that * stands for, the parameters of its URL, its body, and the
// items that are taken.
func (r *route) scopeOf(request *http.Request, body event.Value, items []event.Value) event.Value {
	var segments []event.Value
	for i, segment := range strings.Split(request.URL.EscapedPath(), "/") {
		if i < len(r.segments) && r.segments[i] == "*" {
			plain, err := url.PathUnescape(segment)
			if err != nil {
				plain = segment
			}
			segments = append(segments, event.NewString(plain))
		}
	}
	return event.NewObject([]event.Member{
		{Key: "path", Value: event.NewArray(segments)}, {Key: "query", Value: formValue(request.URL.Query(), nil)},
		{Key: "body", Value: body}, {Key: "items", Value: event.NewArray(items)},
	})
}
