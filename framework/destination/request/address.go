package request

import (
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// address is a URL: a text whose inserted values are escaped, or a mapping that makes it as a whole.
type address struct {
	parts   []mapping.TemplatePart
	dynamic *mapping.Mapping // nil for a text
	// fromEvent is whether something else than settings may say which host it is.
	fromEvent bool
}

// compileAddress compiles a URL. What a text begins with is taken as it is; it can only be a setting, so that no event chooses whom
// a request goes to.
func (c *compiler) compileAddress(v event.Value, place string) *address {
	if v.Kind() == event.Absent {
		return &address{parts: mapping.SplitTemplate("")}
	}
	if !v.IsString() {
		return c.compileDynamicAddress(v, place)
	}
	a := &address{parts: mapping.SplitTemplate(v.Str())}
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
			c.problems.Add(place, "lets {{%s}} say which host the request goes to: only settings may, or a directive in place of the text", p.Path)
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

// compileDynamicAddress compiles a URL that a mapping makes.
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

// isRelative tells whether the URL is a path below a base URL.
func (a *address) isRelative() bool {
	return a.dynamic == nil && strings.HasPrefix(a.parts[0].Text, "/")
}

// buildURL makes the URL with a query behind its own.
func (a *address) buildURL(scope event.Value, query url.Values) (string, error) {
	whole, err := a.expandTemplate(scope)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(whole)
	if err != nil || u.User != nil || u.Host == "" && !strings.HasPrefix(whole, "/") || u.Host != "" && u.Scheme != "https" && u.Scheme != "http" {
		return "", fault.Invalid("%q is no http or https URL", whole)
	}
	addQuery(u, query)
	return u.String(), nil
}

// addQuery puts parameters behind those of a URL.
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
