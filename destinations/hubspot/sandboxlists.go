package hubspot

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// listRoutes are the routes of lists.
func (a *account) listRoutes() {
	a.mux.HandleFunc("GET /crm/v3/lists/object-type-id/{type}/name/{name}", a.findList)
	a.mux.HandleFunc("GET /crm/v3/lists/{id}", a.getList)
	a.mux.HandleFunc("POST /crm/v3/lists", a.makeList)
	a.mux.HandleFunc("PUT /crm/v3/lists/{id}/memberships/{operation}", a.changeList)
	a.mux.HandleFunc("GET /crm/v3/lists/{id}/memberships", a.listMembers)
}

func (a *account) findList(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answerList(w, a.crm.names[r.PathValue("name")])
}

func (a *account) getList(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answerList(w, r.PathValue("id"))
}

func (a *account) answerList(w http.ResponseWriter, id string) {
	if _, known := a.crm.lists[id]; !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no such list")
		return
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"list": map[string]string{"listId": id}})
}

func (a *account) makeList(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name, ObjectTypeID, ProcessingType string }
	if !decode(w, r, &body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.crm.names[body.Name]; taken || body.Name == "" || body.ObjectTypeID == "" || body.ProcessingType != "MANUAL" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "The list needs a name that no list has, objectTypeId, and the processing type MANUAL")
		return
	}
	id := fmt.Sprint(len(a.crm.lists) + 1)
	a.crm.names[body.Name], a.crm.lists[id] = id, map[string]bool{}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"list": map[string]string{"listId": id}})
}

// changeList adds contacts to a list, or removes them. A list that was not made here exists from then on.
func (a *account) changeList(w http.ResponseWriter, r *http.Request) {
	var ids []string
	if !decode(w, r, &ids) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	members := a.crm.lists[r.PathValue("id")]
	if members == nil {
		members = map[string]bool{}
		a.crm.lists[r.PathValue("id")] = members
	}
	for _, id := range ids {
		if a.findContact("", id) == nil {
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "There is no contact "+id)
			return
		}
		if r.PathValue("operation") == "add" {
			members[id] = true
		} else {
			delete(members, id)
		}
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{})
}

// listMembers answers with a page of the members of a list, in the order of their ids.
func (a *account) listMembers(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	members, known := a.crm.lists[r.PathValue("id")]
	if !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no such list")
		return
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 250 {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "The limit should be from 1 to 250")
		return
	}
	after := r.URL.Query().Get("after")
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(members)), func(id string) bool { return id <= after })
	page := map[string]any{"total": len(members)}
	if len(ids) > limit {
		ids = ids[:limit]
		page["paging"] = map[string]any{"next": map[string]string{"after": ids[limit-1]}}
	}
	results := []map[string]string{}
	for _, id := range ids {
		results = append(results, map[string]string{"recordId": id, "membershipTimestamp": "2026-01-02T03:04:05Z"})
	}
	page["results"] = results
	sandbox.WriteJSON(w, http.StatusOK, page)
}
