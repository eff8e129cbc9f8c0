package braze

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxItems is how many items one request takes
// (https://www.braze.com/docs/api/endpoints/catalogs/catalog_items/asynchronous).
const maxItems = 50

// itemID is what Braze takes for the id of an item, and for the name of a catalog.
var itemID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,250}$`)

// catalogItems writes or deletes items. An item goes once in a request: a later one of the same id waits for the next.
func catalogItems(ctx context.Context, in destination.BatchCall[Settings, UpsertCatalogItemPayload]) (*destination.MultiStatus, error) {
	api, err := newAPI(in.Settings, in.Client)
	if err != nil {
		return nil, err
	}
	chosen := in.HookOutputs.Get(destination.OnMappingSave).Get("catalog_name").Str()
	c := catalog{api: api, chosen: chosen, method: http.MethodPut, ms: destination.NewMultiStatus(len(in.Payloads))}
	if in.SyncMode == "delete" {
		c.method = http.MethodDelete
	}
	byPath := map[string][]*unit{}
	var paths []string
	for i := range in.Payloads {
		u, path, err := c.item(i, &in.Payloads[i])
		if err != nil {
			c.ms.Fail(i, err)
			continue
		}
		if byPath[path] == nil {
			paths = append(paths, path)
		}
		byPath[path] = append(byPath[path], u)
	}
	for _, path := range paths {
		c.all(ctx, path, byPath[path])
	}
	return c.ms, nil
}

// all sends the items of one catalog. After a failure that concerns more than single items, the rest gets the same error; other
// catalogs go on.
func (c *catalog) all(ctx context.Context, path string, units []*unit) {
	for _, part := range requests(units, maxItems) {
		err := c.send(ctx, path, part)
		if err == nil {
			continue
		}
		for _, u := range units {
			if !c.ms.Decided(u.index) {
				c.ms.Fail(u.index, err)
			}
		}
		return
	}
}

// catalog brings items to Braze.
type catalog struct {
	api       *api
	chosen    string // the name of the catalog of the hook; "" where it has not run
	method    string // PUT or DELETE
	ms        *destination.MultiStatus
	divisions int
}

// item reads a payload, and where it goes.
func (c *catalog) item(i int, p *UpsertCatalogItemPayload) (*unit, string, error) {
	name := cmp.Or(p.CatalogName, c.chosen)
	switch {
	case name == "":
		return nil, "", fault.Invalid("Catalog Name is absent: write it down in the mapping as catalog_name, or run the hook onMappingSave")
	case !itemID.MatchString(name):
		return nil, "", fault.Invalid("Catalog Name should be letters, digits, hyphens and underscores, 250 at most, but is %q", name)
	case !itemID.MatchString(p.ItemID):
		return nil, "", fault.Invalid("Item ID should be letters, digits, hyphens and underscores, 250 at most, but is %q", p.ItemID)
	}
	members := []event.Member{{Key: "id", Value: event.NewString(p.ItemID)}}
	if c.method == http.MethodPut {
		if p.Item.Len() == 0 {
			return nil, "", fault.Invalid("Catalog item to upsert is absent or empty")
		}
		for key, v := range p.Item.Members() {
			if key != "id" {
				members = append(members, event.Member{Key: key, Value: v})
			}
		}
	}
	u := &unit{index: i, objects: []object{newObject("items", members)}, names: []string{p.ItemID}}
	return u, "/catalogs/" + url.PathEscape(name) + "/items", checkSizes(u.objects)
}

// send sends one request. Braze takes all of its items or none: one that it refuses is divided until what it cannot take is
// alone.
func (c *catalog) send(ctx context.Context, path string, units []*unit) error {
	_, err := c.api.send(ctx, c.method, path, body(units), len(units))
	e := fault.As(err)
	switch {
	case e == nil:
		for _, u := range units {
			c.ms.Deliver(u.index)
		}
		return nil
	case !ofItems(e, c.method):
		for _, u := range units {
			c.ms.Fail(u.index, err)
		}
		return destination.NotSent(err) // the other units were not in this request
	case len(units) > 1 && c.divisions < maxDivisions:
		c.divisions++
		half := len(units) / 2
		if err := c.send(ctx, path, units[:half]); err != nil {
			return err
		}
		return c.send(ctx, path, units[half:])
	}
	for _, u := range units {
		if c.method == http.MethodDelete && errorID(e) == "item-not-found" {
			c.ms.Skip(u.index, "the catalog does not have the item")
			continue
		}
		c.ms.Fail(u.index, err)
	}
	return nil
}

// ofItems tells whether a refusal may be of some items only.
func ofItems(e *fault.Error, method string) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return errorID(e) != "catalog-not-found"
	case http.StatusNotFound:
		return method == http.MethodDelete && errorID(e) == "item-not-found"
	}
	return false
}

// errorID is how Braze calls the first error of a refusal; "" where it does not say.
func errorID(e *fault.Error) string {
	var refusal *destination.Refusal
	if !errors.As(e, &refusal) {
		return ""
	}
	return refusal.Body.Get("errors").Index(0).Get("id").Str()
}
