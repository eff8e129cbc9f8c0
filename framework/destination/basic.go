package destination

import (
	"context"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// schemeBasic is the scheme for which a definition may say what is sent as user name and password.
const schemeBasic Scheme = "basic"

// BasicCredentials are the user name and the password of the scheme basic, as mappings over the settings.
type BasicCredentials struct {
	username, password *mapping.Mapping // nil for an empty text
}

// parseBasic reads the credentials of the scheme basic; nil if the settings username and password are sent.
func (p *parser) parseBasic(authentication event.Value, place string) *BasicCredentials {
	var c BasicCredentials
	found := false
	for key, into := range map[string]**mapping.Mapping{"username": &c.username, "password": &c.password} {
		v := authentication.Get(key)
		if !v.Exists() {
			continue
		}
		found = true
		if p.d.Scheme != schemeBasic {
			p.problems.Add(place+"/"+key, "is only allowed with the scheme basic, but the scheme is %s", p.d.Scheme)
			continue
		}
		p.checkCredential(v, place+"/"+key)
		p.problems.AddUnder(place+"/"+key, request.CheckMapping(v, p.requestNames().Only(request.Settings)))
		*into, _ = mapping.Compile(mapping.ConvertTemplates(v)) // CheckMapping has reported its mistakes
	}
	if !found {
		return nil
	}
	return &c
}

// Authorize returns a function that adds the credentials of the definition's scheme to a request, or nil if it adds none.
func (d *Definition) Authorize(settings event.Value) func(context.Context, *http.Request) error {
	authorize := d.Scheme.Authorize()
	switch {
	case d.Basic != nil:
		return func(_ context.Context, r *http.Request) error { return d.Basic.authorize(r, settings) }
	case authorize != nil:
		return func(_ context.Context, r *http.Request) error {
			authorize(r, settings)
			return nil
		}
	}
	return nil
}

func (c *BasicCredentials) authorize(r *http.Request, settings event.Value) error {
	scope := event.NewObject([]event.Member{{Key: request.Settings, Value: settings}})
	var texts [2]string
	for i, m := range []*mapping.Mapping{c.username, c.password} {
		if m == nil {
			continue
		}
		v, err := m.Resolve(scope)
		if err != nil {
			return err
		}
		texts[i] = v.Text()
	}
	if strings.Contains(texts[0], ":") {
		return fault.Invalid("the user name of the scheme basic must not contain a colon: check the settings that it is made of")
	}
	r.SetBasicAuth(texts[0], texts[1])
	return nil
}
