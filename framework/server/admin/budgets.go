package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// maxBudget is the size of the largest record of a budget in bytes.
const maxBudget = 1 << 20

// budgetRecord is the record of a budget with its revision.
type budgetRecord struct {
	Data     []byte `json:"data,omitempty"`
	Revision uint64 `json:"revision"`
}

// ErrNoBudget means that the server has no budget of a name.
var ErrNoBudget = errors.New("the server has no such budget")

// addBudgetRoutes adds the routes with which commands share the budgets of the server.
func (s *Server) addBudgetRoutes(mux *http.ServeMux) {
	mux.Handle("GET /admin/budget", s.requireAccess(false, s.handleBudget(func(ctx context.Context, store budget.Store, name string, _ budgetRecord) (record budgetRecord, err error) {
		record.Data, record.Revision, err = store.Load(ctx, name)
		return record, err
	})))
	mux.Handle("PUT /admin/budget", s.requireAccess(false, s.handleBudget(func(ctx context.Context, store budget.Store, name string, change budgetRecord) (record budgetRecord, err error) {
		record.Revision, err = store.Save(ctx, name, change.Data, change.Revision)
		return record, err
	})))
}

// handleBudget returns the handler of a use of a budget's store.
func (s *Server) handleBudget(use func(ctx context.Context, store budget.Store, name string, change budgetRecord) (budgetRecord, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var change budgetRecord
		if r.Method == http.MethodPut {
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBudget)).Decode(&change); err != nil {
				writeError(w, http.StatusBadRequest, errors.New("the body should be a record of a budget"))
				return
			}
		}
		name := r.URL.Query().Get("name")
		var store budget.Store
		known := false
		if s.Budgets != nil {
			store, known = s.Budgets(name)
		}
		if !known {
			writeError(w, http.StatusNotFound, ErrNoBudget)
			return
		}
		record, err := use(r.Context(), store, name, change)
		switch {
		case errors.Is(err, budget.ErrConflict):
			writeError(w, http.StatusConflict, err)
		case err != nil:
			writeError(w, http.StatusServiceUnavailable, err)
		default:
			writeJSON(w, http.StatusOK, record)
		}
	}
}

// BudgetStore returns the store of the server's budgets. An error wraps ErrNoBudget if the server has no budget of the name.
func (c *Client) BudgetStore() budget.Store { return remoteBudgets{c} }

// remoteBudgets is the store of a server's budgets.
type remoteBudgets struct{ client *Client }

func (s remoteBudgets) call(ctx context.Context, method, name string, body []byte) (record budgetRecord, err error) {
	response, err := s.client.sendRequest(ctx, method, "/admin/budget?"+url.Values{"name": {name}}.Encode(), body)
	var refused *StatusError
	switch {
	case errors.As(err, &refused) && refused.Code == http.StatusConflict:
		return record, fmt.Errorf("%w (%w)", budget.ErrConflict, err)
	case errors.As(err, &refused) && refused.Code == http.StatusNotFound:
		return record, fmt.Errorf("%w (%w)", ErrNoBudget, err)
	case err != nil:
		return record, err
	}
	defer func() { _ = response.Close() }()
	err = json.NewDecoder(io.LimitReader(response, 2*maxBudget)).Decode(&record)
	return record, err
}

// Load implements budget.Store.
func (s remoteBudgets) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	record, err := s.call(ctx, http.MethodGet, name, nil)
	return record.Data, record.Revision, err
}

// Save implements budget.Store.
func (s remoteBudgets) Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	body, err := json.Marshal(budgetRecord{data, revision})
	if err != nil {
		return 0, err
	}
	record, err := s.call(ctx, http.MethodPut, name, body)
	return record.Revision, err
}

// Shared implements budget.Store.
func (remoteBudgets) Shared() bool { return true }
