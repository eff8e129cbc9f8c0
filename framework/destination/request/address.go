package request

import (
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// address is a URL: a template whose values are escaped, or a mapping that builds the whole URL.
type address struct {
	parts   []mapping.TemplatePart
	dynamic *mapping.Mapping // nil for a template
	// fromEvent reports whether anything but settings can decide the host.
	fromEvent bool
}

// compileAddress compiles a URL. The start of a template is inserted unescaped, so it can only be a setting: an event must not
// choose the host of a request.
func (c *compiler) compileAddress(v event.Value, place string) *address {
	if v.Kind() == event.Absent {
		return &address{parts: mapping.SplitTemplate("")}
	}
	if !v.IsString() {
		return c.compileDynamicAddress(v, place)
	}
	a := &address{parts: mapping.SplitTemplate(v.Str())}
	for _, m := range mapping.Mistakes(event.NewObject([]event.Member{{Key: "@template", Value: v}})) {
		c.problems.Add(place, "%s", m.Message)
	}
	behindHost := false
	for _, p := range a.parts {
		rest := p.Text
		if _, host, ok := strings.Cut(rest, "://"); ok {
			rest = host
		}
		behindHost = behindHost || strings.ContainsAny(rest, "/?")
		if p.Last {
			break
		}
		c.checkPath(p.Path, place)
		if keys := p.Path.Keys(); !behindHost && (len(keys) == 0 || keys[0] != Settings) {
			c.problems.Add(place, "lets {{%s}} choose the host of the request: only settings may, or a directive in place of the text", p.Path)
		}
	}
	if first := a.parts[0]; first.Text != "" || first.Last {
		before, _, _ := strings.Cut(first.Text, "?")
		if !strings.HasPrefix(before, "/") && !strings.HasPrefix(before, "https://") && !strings.HasPrefix(before, "http://") {
			c.problems.Add(place, "should begin with https://, with / for a path below baseUrl, or with a setting, but is %q", v.Str())
		}
	}
	return a
}

// compileDynamicAddress compiles a URL that a mapping builds.
func (c *compiler) compileDynamicAddress(v event.Value, place string) *address {
	before, shared := c.used, len(c.shared)
	c.used = map[string]bool{}
	a := &address{dynamic: c.compileMapping(v, place)}
	a.fromEvent = len(c.shared) > shared
	for name := range c.used {
		a.fromEvent = a.fromEvent || name != Settings && name != Auth
	}
	for name := range before {
		c.used[name] = true
	}
	return a
}

// isRelative reports whether the URL is a path below a base URL.
func (a *address) isRelative() bool {
	return a.dynamic == nil && len(a.parts) > 0 && strings.HasPrefix(a.parts[0].Text, "/")
}

// buildURL builds the URL and appends a query to its own.
func (a *address) buildURL(scope event.Value, query url.Values) (string, error) {
	whole, err := a.expandTemplate(scope)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(whole)
	if err == nil && u.User != nil {
		return "", fault.Invalid("%q has a user or a password before its host: send them in a header", fault.ShownURL(whole)).Because(fault.CauseIncomplete)
	}
	if err != nil || u.Host == "" && !strings.HasPrefix(whole, "/") || u.Host != "" && u.Scheme != "https" && u.Scheme != "http" {
		return "", fault.Invalid("%q is not an http or https URL", fault.ShownURL(whole)).Because(fault.CauseIncomplete)
	}
	addQuery(u, query)
	return u.String(), nil
}

// addQuery appends parameters to those of a URL.
func addQuery(u *url.URL, query url.Values) {
	if len(query) > 0 {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+query.Encode(), "&")
	}
}

func (a *address) expandTemplate(scope event.Value) (string, error) {
	if a.dynamic != nil {
		return resolveText(a.dynamic, scope)
	}
	var b strings.Builder
	inQuery := false
	for i, p := range a.parts {
		b.WriteString(p.Text)
		inQuery = inQuery || strings.Contains(p.Text, "?")
		if p.Last {
			break
		}
		value := p.Path.Read(scope).Text()
		switch {
		case i == 0 && p.Text == "":
			b.WriteString(strings.TrimSuffix(value, "/"))
		case inQuery:
			b.WriteString(url.QueryEscape(value))
		case value == "", value == ".", value == "..":
			return "", fault.Invalid("the URL needs %s, which is %q", p.Path, value)
		default:
			b.WriteString(url.PathEscape(value))
		}
	}
	return b.String(), nil
}
