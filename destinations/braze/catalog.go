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

// maxItems is the maximum number of items in a request
// (https://www.braze.com/docs/api/endpoints/catalogs/catalog_items/asynchronous).
const maxItems = 50

// itemID matches valid ids of items and names of catalogs.
var itemID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,250}$`)

// catalogItems writes or deletes items. A request contains an id only once; a later item with the same id goes to the next
// request.
func catalogItems(ctx context.Context, in destination.BatchCall[Settings, UpsertCatalogItemPayload]) (*destination.MultiStatus, error) {
	api, err := newAPI(in.Settings, in.Client)
	if err != nil {
		return nil, err
	}
	chosen := in.HookOutputs.Get(destination.OnMappingSave).Get("catalog_name").Str()
	c := catalogSender{api: api, chosen: chosen, method: http.MethodPut, ms: destination.NewMultiStatus(len(in.Payloads))}
	if in.SyncMode == "delete" {
		c.method = http.MethodDelete
	}
	byPath := map[string][]*unit{}
	var paths []string
	for i := range in.Payloads {
		u, path, err := c.readItem(i, &in.Payloads[i])
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
		c.sendItems(ctx, path, byPath[path])
	}
	return c.ms, nil
}

// sendItems sends the items of one catalog. A refused request is divided until the invalid items are alone. After a failure that
// concerns more than single items, the remaining items get the same error.
func (c *catalogSender) sendItems(ctx context.Context, path string, units []*unit) {
	b := destination.Bisection[*unit]{
		Send: func(ctx context.Context, units []*unit) error {
			_, err := c.api.sendRequest(ctx, c.method, path, encodeBody(units), len(units))
			return err
		},
		Accept: c.deliverUnits, Fail: c.failUnits,
		Divisible: func(e *fault.Error) bool { return isItemError(e, c.method) },
	}
	for _, part := range splitRequests(units, maxItems) {
		err := b.Run(ctx, part)
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

// catalogSender sends items to Braze.
type catalogSender struct {
	api    *api
	chosen string // the catalog of the hook; "" if it has not run
	method string // PUT or DELETE
	ms     *destination.MultiStatus
}

// readItem returns the unit and the request path of a payload.
func (c *catalogSender) readItem(i int, p *UpsertCatalogItemPayload) (*unit, string, error) {
	name := cmp.Or(p.CatalogName, c.chosen)
	switch {
	case name == "":
		return nil, "", fault.Invalid("Catalog Name is absent: set catalog_name in the mapping, or run the hook onMappingSave").Because(fault.CauseIncomplete)
	case !itemID.MatchString(name):
		return nil, "", fault.Invalid("Catalog Name should be letters, digits, hyphens and underscores, 250 at most, but is %q", name).Because(fault.CauseIncomplete)
	case !itemID.MatchString(p.ItemID):
		return nil, "", fault.Invalid("Item ID should be letters, digits, hyphens and underscores, 250 at most, but is %q", p.ItemID)
	}
	members := []event.Member{{Key: "id", Value: event.NewString(p.ItemID)}}
	if c.method == http.MethodPut {
		if p.Item.Len() == 0 {
			return nil, "", fault.Invalid("Catalog item to upsert is absent or empty").Because(fault.CauseIncomplete)
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

// deliverUnits marks items as delivered.
func (c *catalogSender) deliverUnits(units []*unit) error {
	for _, u := range units {
		c.ms.Deliver(u.index)
	}
	return nil
}

// failUnits sets the results of refused items. Deleting an item that does not exist is not a failure.
func (c *catalogSender) failUnits(units []*unit, err error) {
	e := fault.As(err)
	missing := c.method == http.MethodDelete && isItemError(e, c.method) && errorID(e) == "item-not-found"
	for _, u := range units {
		if missing {
			c.ms.Skip(u.index, "the catalog does not have the item")
			continue
		}
		c.ms.Fail(u.index, err)
	}
}

// isItemError reports whether a refusal may concern single items only.
func isItemError(e *fault.Error, method string) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return errorID(e) != "catalog-not-found"
	case http.StatusNotFound:
		return method == http.MethodDelete && errorID(e) == "item-not-found"
	}
	return false
}

// errorID returns the id of the first error of a refusal, or "".
func errorID(e *fault.Error) string {
	var refusal *destination.Refusal
	if !errors.As(e, &refusal) {
		return ""
	}
	return refusal.Body.Get("errors").Index(0).Get("id").Str()
}
