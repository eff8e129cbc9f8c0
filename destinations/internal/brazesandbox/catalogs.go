package brazesandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
)

// maxItems is the maximum number of items in a request.
const maxItems = 50

var itemID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,250}$`)

// catalogError is an error of the catalog endpoints.
type catalogError struct {
	ID              string   `json:"id"`
	Message         string   `json:"message"`
	Parameters      []string `json:"parameters"`
	ParameterValues []any    `json:"parameter_values"`
}

func refuseItems(status int, id, message, parameter string, values ...any) response {
	return response{status, map[string]any{
		"message": "Invalid Request", "errors": []catalogError{{id, message, []string{parameter}, append([]any{}, values...)}},
	}}
}

// readItems reads the items of a request, all of which must be valid.
func (a *api) readItems(r *http.Request, raw json.RawMessage) (catalog string, ids []string, list []json.RawMessage, refused *response) {
	catalog = r.PathValue("catalog")
	no := func(status int, id, message, parameter string, values ...any) (string, []string, []json.RawMessage, *response) {
		answer := refuseItems(status, id, message, parameter, values...)
		return "", nil, nil, &answer
	}
	if len(a.config.Catalogs) > 0 && !slices.Contains(a.config.Catalogs, catalog) && a.catalogs[catalog] == nil {
		return no(http.StatusNotFound, "catalog-not-found", "Could not find catalog", "catalog_name", catalog)
	}
	var body struct {
		Items []json.RawMessage `json:"items"`
	}
	switch err := json.Unmarshal(raw, &body); {
	case err != nil || len(body.Items) == 0:
		return no(http.StatusBadRequest, "item-array-invalid", "Items must be an array of objects", "items")
	case len(body.Items) > maxItems:
		return no(http.StatusBadRequest, "request-includes-too-many-items", "Request includes more than 50 items", "items")
	}
	for _, item := range body.Items {
		var one struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(item, &one) != nil {
			return no(http.StatusBadRequest, "item-array-invalid", "Items must be an array of objects", "items")
		}
		switch id := stringOf(one.ID); {
		case id == "":
			return no(http.StatusBadRequest, "ids-not-string", "Item IDs must be of type string", "id")
		case !itemID.MatchString(id):
			return no(http.StatusBadRequest, "invalid-ids", "Item IDs can only include letters, numbers, hyphens, and underscores", "id", id)
		case slices.Contains(ids, id):
			return no(http.StatusBadRequest, "ids-not-unique", "Item IDs must be unique", "id", id)
		default:
			ids = append(ids, id)
		}
	}
	return catalog, ids, body.Items, nil
}

// putItems replaces items.
func (a *api) putItems(r *http.Request, raw json.RawMessage) response {
	catalog, ids, list, refused := a.readItems(r, raw)
	if refused != nil {
		return *refused
	}
	if a.catalogs[catalog] == nil {
		a.catalogs[catalog] = map[string]json.RawMessage{}
	}
	for i, id := range ids {
		a.catalogs[catalog][id] = list[i]
	}
	return messageResponse(http.StatusAccepted, "success")
}

// deleteItems deletes items, all of which must exist.
func (a *api) deleteItems(r *http.Request, raw json.RawMessage) response {
	catalog, ids, _, refused := a.readItems(r, raw)
	if refused != nil {
		return *refused
	}
	for _, id := range ids {
		if a.catalogs[catalog][id] == nil {
			return refuseItems(http.StatusNotFound, "item-not-found", "Could not find item", "item_id", id)
		}
	}
	for _, id := range ids {
		delete(a.catalogs[catalog], id)
	}
	return messageResponse(http.StatusAccepted, "success")
}

// listCatalogs lists the catalogs, in the order of their names. Each has a price.
func (a *api) listCatalogs(*http.Request, json.RawMessage) response {
	names := slices.Concat(a.config.Catalogs, slices.Collect(maps.Keys(a.catalogs)))
	slices.Sort(names)
	list := []map[string]any{}
	for _, name := range slices.Compact(names) {
		list = append(list, map[string]any{
			"name": name, "num_items": len(a.catalogs[name]), "fields": []map[string]string{{"name": "id", "type": "string"}, {"name": "price", "type": "number"}},
		})
	}
	return response{http.StatusOK, map[string]any{"catalogs": list, "message": "success"}}
}

// createCatalog creates one catalog with a new name.
func (a *api) createCatalog(_ *http.Request, raw json.RawMessage) response {
	var body struct {
		Catalogs []struct {
			Name   string `json:"name"`
			Fields []struct {
				Name string `json:"name"`
				Type string `json:"type"`
			} `json:"fields"`
		} `json:"catalogs"`
	}
	if err := json.Unmarshal(raw, &body); err != nil || len(body.Catalogs) != 1 {
		return refuseItems(http.StatusBadRequest, "catalog-array-invalid", "Catalogs must be an array of one object", "catalogs")
	}
	switch one := body.Catalogs[0]; {
	case !itemID.MatchString(one.Name):
		return refuseItems(http.StatusBadRequest, "invalid-catalog-name", "Catalog name can only include letters, numbers, hyphens, and underscores", "name", one.Name)
	case len(one.Fields) == 0 || one.Fields[0].Name != "id" || one.Fields[0].Type != "string":
		return refuseItems(http.StatusBadRequest, "id-not-first-column", "The first field must be the id, of type string", "fields")
	case a.catalogs[one.Name] != nil || slices.Contains(a.config.Catalogs, one.Name):
		return refuseItems(http.StatusBadRequest, "catalog-name-already-exists", "The catalog name already exists", "name", one.Name)
	default:
		a.catalogs[one.Name] = map[string]json.RawMessage{}
		return messageResponse(http.StatusCreated, "success")
	}
}
