package hubspot

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// list is a list of records of one object.
type list struct {
	name, objectTypeID string
	members            map[string]bool // IDs of records
}

// listRoutes are the routes of lists.
func (a *account) listRoutes() {
	a.mux.HandleFunc("GET /crm/v3/lists/object-type-id/{type}/name/{name}", a.findList)
	a.mux.HandleFunc("GET /crm/v3/lists/{id}", a.getList)
	a.mux.HandleFunc("POST /crm/v3/lists", a.makeList)
	a.mux.HandleFunc("POST /crm/v3/lists/search", a.searchLists)
	a.mux.HandleFunc("PUT /crm/v3/lists/{id}/memberships/{operation}", a.changeList)
	a.mux.HandleFunc("GET /crm/v3/lists/{id}/memberships", a.listMembers)
}

func (a *account) findList(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, l := range a.crm.lists {
		if l.name == r.PathValue("name") && l.objectTypeID == r.PathValue("type") {
			a.answerList(w, id)
			return
		}
	}
	a.answerList(w, "")
}

func (a *account) getList(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answerList(w, r.PathValue("id"))
}

func (a *account) answerList(w http.ResponseWriter, id string) {
	l, known := a.crm.lists[id]
	if !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no such list")
		return
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"list": l.describe(id)})
}

func (l *list) describe(id string) map[string]string {
	return map[string]string{"listId": id, "name": l.name, "objectTypeId": l.objectTypeID, "processingType": "MANUAL"}
}

func (a *account) makeList(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name, ObjectTypeID, ProcessingType string }
	if !decode(w, r, &body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if body.Name == "" || objectOfID(body.ObjectTypeID) == "" || body.ProcessingType != "MANUAL" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "The list needs a name, the objectTypeId of an object, and the processing type MANUAL")
		return
	}
	for _, l := range a.crm.lists {
		if strings.EqualFold(l.name, body.Name) {
			sandbox.WriteJSON(w, http.StatusBadRequest, map[string]string{"status": "error", "category": "VALIDATION_ERROR", "subCategory": "ILS.DUPLICATE_LIST_NAMES", "message": "There is a list with this name"})
			return
		}
	}
	id := fmt.Sprint(len(a.crm.lists) + 1)
	a.crm.lists[id] = &list{body.Name, body.ObjectTypeID, map[string]bool{}}
	a.answerList(w, id)
}

// searchLists answers with a page of the lists whose names contain the text, in the order of their names.
func (a *account) searchLists(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Query         string
		Offset, Count int
	}
	if !decode(w, r, &body) {
		return
	}
	if body.Count = cmp.Or(body.Count, 20); body.Count < 0 || body.Count > 500 || body.Offset < 0 {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "The count should be from 1 to 500, and the offset not negative")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found := []map[string]string{}
	for id, l := range a.crm.lists {
		if strings.Contains(strings.ToLower(l.name), strings.ToLower(body.Query)) {
			found = append(found, l.describe(id))
		}
	}
	slices.SortFunc(found, func(x, y map[string]string) int { return strings.Compare(x["name"], y["name"]) })
	from, total := min(body.Offset, len(found)), len(found)
	to := min(from+body.Count, total)
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"lists": found[from:to], "offset": to, "hasMore": to < total, "total": total})
}

// changeList adds records to a list, or removes them. A list that was not made here has contacts, and exists from then on.
func (a *account) changeList(w http.ResponseWriter, r *http.Request) {
	var add, remove []string
	both := struct{ RecordIDsToAdd, RecordIDsToRemove *[]string }{&add, &remove}
	bodies := map[string]any{"add": &add, "remove": &remove, "add-and-remove": &both}
	body, known := bodies[r.PathValue("operation")]
	if !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no such operation")
		return
	}
	if !decode(w, r, body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.crm.lists[r.PathValue("id")]
	if l == nil {
		l = &list{objectTypeID: "0-1", members: map[string]bool{}}
		a.crm.lists[r.PathValue("id")] = l
	}
	sandbox.WriteJSON(w, http.StatusOK, a.changeMembers(l, add, remove))
}

// changeMembers adds records to a list and removes others. Those that do not exist are ignored, except in the response.
func (a *account) changeMembers(l *list, add, remove []string) map[string][]string {
	added, removed, missing := []string{}, []string{}, []string{}
	for i, id := range slices.Concat(add, remove) {
		switch {
		case a.find(objectOfID(l.objectTypeID), "", id) == nil:
			missing = append(missing, id)
		case i < len(add) && !l.members[id]:
			l.members[id] = true
			added = append(added, id)
		case i >= len(add) && l.members[id]:
			delete(l.members, id)
			removed = append(removed, id)
		}
	}
	return map[string][]string{"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}
}

// listMembers answers with a page of the members of a list, in the order of their ids.
func (a *account) listMembers(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, known := a.crm.lists[r.PathValue("id")]
	if !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no such list")
		return
	}
	members := l.members
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
