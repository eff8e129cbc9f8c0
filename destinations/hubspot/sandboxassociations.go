package hubspot

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// link is one label of an association of two records.
type link struct{ from, id, to, other, label string }

// String returns the records, as the state of the account has them.
func (l link) String() string { return l.from + " " + l.id + " " + l.to + " " + l.other }

// associationRoutes are the routes of associations.
func (a *account) associationRoutes() {
	a.mux.HandleFunc("PUT /crm/v3/objects/{type}/{id}/associations/{to}/{other}/{kind}", a.associate)
	a.mux.HandleFunc("PUT /crm/v4/objects/{type}/{id}/associations/{to}/{other}", a.associate)
	a.mux.HandleFunc("POST /crm/v4/associations/{type}/{to}/batch/create", a.associateBatch)
	a.mux.HandleFunc("POST /crm/v4/associations/{type}/{to}/batch/labels/archive", a.archiveLabels)
	a.mux.HandleFunc("GET /crm/v4/associations/{type}/{to}/labels", a.listLabels)
}

func (a *account) associate(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crm.associations = append(a.crm.associations, link{objectType(r), r.PathValue("id"), r.PathValue("to"), r.PathValue("other"), r.PathValue("kind")})
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"id": r.PathValue("id")})
}

// association is an input of a batch of associations.
type association struct {
	Types []struct {
		AssociationCategory string
		AssociationTypeID   any
	}
	From, To struct{ ID string }
}

// decodeAssociations reads the associations of a request. It reports whether they are complete, and answers the request otherwise.
func decodeAssociations(w http.ResponseWriter, r *http.Request) (list []link, ok bool) {
	var body struct{ Inputs []association }
	if !decode(w, r, &body) {
		return nil, false
	}
	incomplete := func(in association) bool { return in.From.ID == "" || in.To.ID == "" || len(in.Types) == 0 }
	if len(body.Inputs) == 0 || slices.ContainsFunc(body.Inputs, incomplete) {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "inputs need from, to and types")
		return nil, false
	}
	for _, in := range body.Inputs {
		for _, t := range in.Types {
			list = append(list, link{objectType(r), in.From.ID, r.PathValue("to"), in.To.ID, fmt.Sprintf("%s:%v", t.AssociationCategory, t.AssociationTypeID)})
		}
	}
	return list, true
}

func (a *account) associateBatch(w http.ResponseWriter, r *http.Request) {
	list, ok := decodeAssociations(w, r)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crm.associations = append(a.crm.associations, list...)
	sandbox.WriteJSON(w, http.StatusCreated, map[string]any{"status": "COMPLETE", "results": []any{}})
}

// unlabeled is the type of associations without a label. An association that loses it loses all labels.
const unlabeled = "HUBSPOT_DEFINED:279"

func (a *account) archiveLabels(w http.ResponseWriter, r *http.Request) {
	list, ok := decodeAssociations(w, r)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, gone := range list {
		a.crm.associations = slices.DeleteFunc(a.crm.associations, func(l link) bool {
			return l == gone || gone.label == unlabeled && l.String() == gone.String()
		})
	}
	w.WriteHeader(http.StatusNoContent)
}

// listLabels lists the types of associations: those without a label, and one that the account defines.
func (a *account) listLabels(w http.ResponseWriter, _ *http.Request) {
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"results": []map[string]any{
		{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": nil}, {"category": "USER_DEFINED", "typeId": 36, "label": "Partner"},
	}})
}
