package hubspot_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/hubspot"
)

// exchange is a request of a test, and the response that it wants.
type exchange struct {
	request, body string
	code          int
	want          string // in the response
}

// checkExchanges sends requests to a sandbox, one after the other.
func checkExchanges(t *testing.T, account http.Handler, list []exchange) {
	t.Helper()
	for _, x := range list {
		method, path, _ := strings.Cut(x.request, " ")
		code, body := ask(t, account, method, path, x.body)
		assert.Equal(t, x.code, code, "%s %s: %s", x.request, x.body, body)
		assert.Contains(t, body, x.want, "%s %s", x.request, x.body)
		assert.True(t, code == 204 || json.Valid([]byte(body)), "one response: %s %s", x.request, x.body)
	}
}

// stateOf returns the state of a sandbox.
func stateOf(t *testing.T, account http.Handler) string {
	_, state := ask(t, account, "GET", "/__sandbox/state", "")
	return state
}

func TestSandboxWritesRecords(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	const deals = "/crm/v3/objects/deals"
	checkExchanges(t, account, []exchange{
		{"POST " + deals, `{"properties":{"name":"One"}}`, 201, `{"id":"deals-1","properties":{"name":"One"}}`},
		{"POST " + deals, `{`, 400, "Invalid input JSON"},
		{"POST " + deals, `{"properties":{"name":[1]}}`, 400, "INVALID_VALUE"},
		{"PATCH " + deals + "/deals-1", `{"properties":{"size":2}}`, 200, `{"name":"One","size":2}`},
		{"PATCH " + deals + "/one?idProperty=name", `{"properties":{"size":3}}`, 200, `{"name":"One","size":3}`},
		{"PATCH " + deals + "/deals-2", `{"properties":{}}`, 404, "OBJECT_NOT_FOUND"},
		{"PATCH " + deals + "/One", `{"properties":{}}`, 404, "OBJECT_NOT_FOUND"},
		{"PATCH " + deals + "/deals-1", `{"properties":{"size":{}}}`, 400, "INVALID_VALUE"},
		{"PATCH " + deals + "/deals-1", `[`, 400, "Invalid input JSON"},
		{"PATCH /crm/v3/objects/contact/x?idProperty=nothing", `{"properties":{}}`, 400, "PROPERTY_DOESNT_EXIST"},
		{"POST " + deals + "/batch/read", `{"inputs":[{"id":"deals-1"},{"id":"deals-7"}]}`, 207, `"ids":["deals-7"]`},
		{"POST " + deals + "/batch/read", `{"idProperty":"name","inputs":[{"id":"one"}]}`, 200, `"id":"deals-1"`},
		{"POST " + deals + "/batch/read", `{"idProperty":"name","inputs":[{"id":"2","idProperty":"size"},{"id":"3","idProperty":"size"}]}`, 207, `"ids":["2"]`},
		{"POST " + deals + "/batch/update", `{"inputs":[{"id":"deals-1","properties":{"size":4}}]}`, 200, `"size":4`},
		{"POST " + deals + "/batch/update", `{"inputs":[{"id":"deals-2","properties":{"size":4}}]}`, 207, `"results":[]`},
		{"POST " + deals + "/batch/upsert", `{"idProperty":"name","inputs":[{"id":"two","properties":{"name":"two"}},{"id":"one","properties":{"size":5}}]}`, 200, `"id":"deals-2"`},
		{"POST " + deals + "/batch/create", `{"inputs":[{"properties":{"name":"one"}}]}`, 201, `"id":"deals-3"`},
		{"POST " + deals + "/batch/create", `{"inputs":[{"properties":{"name":[]}}]}`, 400, "INVALID_VALUE"},
		{"POST " + deals + "/batch/create", `{"inputs":[]}`, 400, "from 1 to 100, but is 0"},
		{"POST " + deals + "/batch/create", `{"inputs"`, 400, "Invalid input JSON"},
		{"POST /crm/v3/objects/contacts/batch/create", `{"inputs":[{"properties":{"email":"a@example.com"}}]}`, 201, `"a@example.com"`},
		{"POST /crm/v3/objects/contacts/batch/create", `{"inputs":[{"properties":{"email":"A@example.com"}}]}`, 409, "Contact already exists"},
		{"POST /crm/v3/objects/contacts/batch/create", `{"inputs":[{"properties":{"email":"b@example.com"}},{"properties":{"email":"B@example.com"}}]}`, 409, "Contact already exists"},
		{"POST /crm/v3/objects/contacts/batch/create", `{"inputs":[{"properties":{"email":"b"}}]}`, 400, "INVALID_EMAIL"},
		{"PATCH /crm/v3/objects/contact/1", `{"properties":{"city":"Bonn"}}`, 200, `"city":"Bonn"`},
		{"PATCH /crm/v3/objects/contact/2", `{"properties":{"city":"Bonn"}}`, 404, "OBJECT_NOT_FOUND"},
		{"PATCH /crm/v3/objects/contact/A@example.com?idProperty=email", `{"properties":{"zip":"1"}}`, 200, `"city":"Bonn","email":"a@example.com","zip":"1"`},
		{"POST /crm/v3/objects/company", `{"properties":{"domain":"example.com"}}`, 201, `"companies-1"`},
		{"GET /crm/v3/schemas", "", 200, `"p1_pets"`},
	})
	state := stateOf(t, account)
	assert.Contains(t, state, `"deals":[{"id":"deals-1","properties":{"name":"One","size":5}},{"id":"deals-2","properties":{"name":"two"}},{"id":"deals-3","properties":{"name":"one"}}]`)
	assert.NotContains(t, state, "b@example.com", "one that is wrong refuses all")
}

func TestSandboxSearchesRecords(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	for n := range 2 {
		code, _ := ask(t, account, "POST", "/crm/v3/objects/deals", fmt.Sprintf(`{"properties":{"n":%d,"same":"x"}}`, n))
		require.Equal(t, 201, code)
	}
	group := func(property string, value any) string {
		return fmt.Sprintf(`{"filters":[{"propertyName":%q,"operator":"EQ","value":%v}]}`, property, value)
	}
	groups := func(list ...string) string { return `{"filterGroups":[` + strings.Join(list, ",") + `]}` }
	const search = "POST /crm/v3/objects/deals/search"
	checkExchanges(t, account, []exchange{
		{search, groups(group("n", 1)), 200, `"results":[{"id":"deals-2","properties":{"n":1,"same":"x"}}],"total":1`},
		{search, groups(group("n", 1), group("n", 0), group("n", 1)), 200, `"total":2`},
		{search, groups(group("same", `"X"`)), 200, `"total":1`},
		{search, groups(group("n", 2)), 200, `{"results":[],"total":0}`},
		{search, groups(), 400, "from 1 to 5, but is 0"},
		{search, groups(slices.Repeat([]string{group("n", 1)}, 5)...), 200, `"total":1`},
		{search, groups(slices.Repeat([]string{group("n", 1)}, 6)...), 400, "from 1 to 5, but is 6"},
		{search, `{`, 400, "Invalid input JSON"},
	})
}

func TestSandboxAssociatesRecords(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	const batch = "POST /crm/v4/associations/contact/deals/batch/create"
	checkExchanges(t, account, []exchange{
		{"PUT /crm/v3/objects/contact/1/associations/deals/2/kind", "", 200, `{"id":"1"}`},
		{"PUT /crm/v4/objects/deals/2/associations/deals/3", "[]", 200, `{"id":"2"}`},
		{batch, `{"inputs":[{"from":{"id":"7"},"to":{"id":"8"},"types":[{}]}]}`, 201, `"COMPLETE"`},
		{batch, `{"inputs":[]}`, 400, "inputs need"},
		{batch, `{"inputs":[{"to":{"id":"8"},"types":[{}]}]}`, 400, "inputs need"},
		{batch, `{"inputs":[{"from":{"id":"7"},"types":[{}]}]}`, 400, "inputs need"},
		{batch, `{"inputs":[{"from":{"id":"7"},"to":{"id":"8"},"types":[]}]}`, 400, "inputs need"},
		{batch, `{`, 400, "Invalid input JSON"},
	})
	assert.Contains(t, stateOf(t, account), `"associations":["contacts 1 deals 2","deals 2 deals 3","contacts 7 deals 8"]`)
}

func TestSandboxRemovesLabelsOfAssociations(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	const batch = "POST /crm/v4/associations/contact/deals/batch/"
	input := func(to string, types ...string) string {
		return `{"inputs":[{"from":{"id":"7"},"to":{"id":"` + to + `"},"types":[` + strings.Join(types, ",") + `]}]}`
	}
	const plain, partner, owner = `{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":279}`, `{"associationCategory":"USER_DEFINED","associationTypeId":36}`, `{"associationCategory":"USER_DEFINED","associationTypeId":"37"}`
	checkExchanges(t, account, []exchange{
		{batch + "create", input("8", plain, partner, owner), 201, "COMPLETE"},
		{batch + "create", input("9", partner), 201, "COMPLETE"},
		{batch + "labels/archive", input("8", owner), 204, ""},
		{batch + "labels/archive", `{"inputs":[]}`, 400, "inputs need"},
		{batch + "labels/archive", `{`, 400, "Invalid input JSON"},
		{"GET /crm/v4/associations/contact/deals/labels", "", 200, `"typeId":36`},
	})
	assert.Contains(t, stateOf(t, account), `"associations":["contacts 7 deals 8","contacts 7 deals 8","contacts 7 deals 9"]`)
	checkExchanges(t, account, []exchange{{batch + "labels/archive", input("8", plain), 204, ""}})
	assert.Contains(t, stateOf(t, account), `"associations":["contacts 7 deals 9"]`, "without the unlabeled type, no label is left")
}

func TestSandboxListsHaveTheRecordsOfOneObject(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	const lists = "/crm/v3/lists"
	checkExchanges(t, account, []exchange{
		{"GET /crm/v3/schemas/p1_pets", "", 200, `"objectTypeId":"2-1"`},
		{"GET /crm/v3/schemas/2-1", "", 200, `"fullyQualifiedName":"p1_pets"`},
		{"GET /crm/v3/schemas/p1_cars", "", 404, "Unable to infer"},
		{"POST " + lists, `{"name":"Dogs","objectTypeId":"2-1","processingType":"MANUAL"}`, 200, `"listId":"1"`},
		{"POST " + lists, `{"name":"dogs","objectTypeId":"0-1","processingType":"MANUAL"}`, 400, "ILS.DUPLICATE_LIST_NAMES"},
		{"POST " + lists, `{"name":"Cars","objectTypeId":"2-9","processingType":"MANUAL"}`, 400, "objectTypeId"},
		{"POST " + lists, `{"name":"Best","objectTypeId":"0-1","processingType":"MANUAL"}`, 200, `"listId":"2"`},
		{"GET " + lists + "/object-type-id/0-1/name/Dogs", "", 404, "no such list"},
		{"GET " + lists + "/object-type-id/2-1/name/Dogs", "", 200, `"processingType":"MANUAL"`},
		{"POST /crm/v3/objects/p1_pets", `{"properties":{"tag":"t1"}}`, 201, `"p1_pets-1"`},
		{"PUT " + lists + "/1/memberships/add-and-remove", `{"recordIdsToAdd":["p1_pets-1","1"]}`, 200, `{"recordIdsMissing":["1"],"recordIdsRemoved":[],"recordsIdsAdded":["p1_pets-1"]}`},
		{"POST " + lists + "/search", `{"query":"do"}`, 200, `{"hasMore":false,"lists":[{"listId":"1",`},
		{"POST " + lists + "/search", `{"count":1}`, 200, `{"hasMore":true,"lists":[{"listId":"2","name":"Best","objectTypeId":"0-1","processingType":"MANUAL"}],"offset":1,"total":2}`},
		{"POST " + lists + "/search", `{"count":1,"offset":1}`, 200, `{"hasMore":false,"lists":[{"listId":"1",`},
		{"POST " + lists + "/search", `{"offset":9}`, 200, `"lists":[]`},
		{"POST " + lists + "/search", `{"count":501}`, 400, "from 1 to 500"},
		{"POST " + lists + "/search", `{"offset":-1}`, 400, "not negative"},
		{"POST " + lists + "/search", `{`, 400, "Invalid input JSON"},
	})
}

func TestSandboxKeepsLists(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	code, _ := ask(t, account, "POST", upsertPath, inputs(4))
	require.Equal(t, 200, code)
	const lists, members = "/crm/v3/lists", "/crm/v3/lists/1/memberships"
	checkExchanges(t, account, []exchange{
		{"GET " + lists + "/object-type-id/0-1/name/VIP", "", 404, "no such list"},
		{"POST " + lists, `{"name":"VIP","objectTypeId":"0-1","processingType":"MANUAL"}`, 200, `"listId":"1"`},
		{"POST " + lists, `{"name":"VIP","objectTypeId":"0-1","processingType":"MANUAL"}`, 400, "ILS.DUPLICATE_LIST_NAMES"},
		{"POST " + lists, `{"objectTypeId":"0-1","processingType":"MANUAL"}`, 400, "needs a name"},
		{"POST " + lists, `{"name":"Other","processingType":"MANUAL"}`, 400, "objectTypeId"},
		{"POST " + lists, `{"name":"Other","objectTypeId":"0-1","processingType":"DYNAMIC"}`, 400, "MANUAL"},
		{"POST " + lists, `{`, 400, "Invalid input JSON"},
		{"GET " + lists + "/object-type-id/0-1/name/VIP", "", 200, `"listId":"1"`},
		{"GET " + lists + "/1", "", 200, `"listId":"1"`},
		{"GET " + lists + "/2", "", 404, "no such list"},
		{"PUT " + members + "/add", `["1","2","3","4"]`, 200, `{"recordIdsMissing":[],"recordIdsRemoved":[],"recordsIdsAdded":["1","2","3","4"]}`},
		{"PUT " + members + "/remove", `["2"]`, 200, `"recordIdsRemoved":["2"]`},
		{"PUT " + members + "/add", `["5","1"]`, 200, `{"recordIdsMissing":["5"],"recordIdsRemoved":[],"recordsIdsAdded":[]}`},
		{"PUT " + members + "/add-and-remove", `{"recordIdsToAdd":["2","6"],"recordIdsToRemove":["2","7"]}`, 200, `{"recordIdsMissing":["6","7"],"recordIdsRemoved":["2"],"recordsIdsAdded":["2"]}`},
		{"PUT " + members + "/remove", `["2"]`, 200, `{"recordIdsMissing":[],"recordIdsRemoved":[],"recordsIdsAdded":[]}`},
		{"PUT " + members + "/replace", `[]`, 404, "no such operation"},
		{"PUT " + members + "/add", `[`, 400, "Invalid input JSON"},
		{"GET " + members + "?limit=2", "", 200, `"paging":{"next":{"after":"3"}},"results":[{"membershipTimestamp":"2026-01-02T03:04:05Z","recordId":"1"},{"membershipTimestamp":"2026-01-02T03:04:05Z","recordId":"3"}],"total":3`},
		{"GET " + members + "?limit=2&after=3", "", 200, `{"results":[{"membershipTimestamp":"2026-01-02T03:04:05Z","recordId":"4"}],"total":3}`},
		{"GET " + members + "?limit=250&after=4", "", 200, `{"results":[],"total":3}`},
		{"GET " + members + "?limit=251", "", 400, "from 1 to 250"},
		{"GET " + members + "?limit=0", "", 400, "from 1 to 250"},
		{"GET " + members, "", 400, "from 1 to 250"},
		{"GET " + lists + "/9/memberships?limit=1", "", 404, "no such list"},
		{"PUT " + lists + "/9/memberships/add", `["1"]`, 200, `"recordsIdsAdded":["1"]`},
		{"GET " + lists + "/9/memberships?limit=1", "", 200, `"total":1`},
	})
	assert.Contains(t, stateOf(t, account), `"lists":{"1":{"1":true,"3":true,"4":true},"9":{"1":true}}`)
}

func TestSandboxDefinesEventsAndProperties(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	const definitions, send, properties = "/events/v3/event-definitions", "POST /events/v3/send", "/crm/v3/properties/contact"
	const whole = `"label":"L","groupName":"g","type":"string","fieldType":"text"}`
	checkExchanges(t, account, []exchange{
		{"GET " + definitions + "/bought/", "", 404, "There is no event bought"},
		{"POST " + definitions, `{"name":"bought","label":"Bought","primaryObject":"contact","propertyDefinitions":[{"name":"b"}]}`, 201, `"pe1_bought"`},
		{"POST " + definitions, `{"label":"Bought","primaryObject":"contact"}`, 400, "are required"},
		{"POST " + definitions, `{"name":"x","primaryObject":"contact"}`, 400, "are required"},
		{"POST " + definitions, `{"name":"x","label":"X"}`, 400, "are required"},
		{"POST " + definitions, `{`, 400, "Invalid input JSON"},
		{"POST " + definitions + "/pe1_bought/property", `{"name":"a"}`, 201, `"Name":"a"`},
		{"POST " + definitions + "/bought/property", `{"name":"c"}`, 400, "is wrong"},
		{"POST " + definitions + "/pe1_sold/property", `{"name":"c"}`, 400, "is wrong"},
		{"POST " + definitions + "/pe1_bought/property", `{"name":"C"}`, 400, `"C\" is wrong`},
		{"POST " + definitions + "/pe1_bought/property", `{`, 400, "Invalid input JSON"},
		{"GET " + definitions, "", 200, `"total":1`},
		{"GET " + definitions + "?searchString=ough", "", 200, `"labels":{"singular":"The bought"}`},
		{"GET " + definitions + "?searchString=sold", "", 200, `{"results":[],"total":0}`},
		{"GET /crm/v3/properties/deals/groups", "", 200, `"name":"deals_information"`},
		{"GET " + definitions + "/bought/", "", 200, `"properties":[{"archived":false,"name":"a","type":"string"},{"archived":false,"name":"b","type":"string"}]`},
		{send, `{"eventName":"pe1_bought","email":"a@example.com","properties":{"a":1}}`, 204, ""},
		{send, `{"eventName":"pe1_utk","utk":"u"}`, 204, ""},
		{send, `{"eventName":"pe1_id","objectId":1}`, 204, ""},
		{send, `{"eventName":"pe1_none"}`, 400, "are required"},
		{send, `{"email":"a@example.com"}`, 400, "are required"},
		{send, `{"eventName":"pe1_null","utk":"u","properties":{"a":null}}`, 400, "property a is no scalar"},
		{send, `{"eventName":"pe1_list","utk":"u","properties":{"a":[]}}`, 400, "property a is no scalar"},
		{send, `{`, 400, "Invalid input JSON"},
		{"POST " + properties, `{"name":"plan",` + whole, 201, `"Name":"plan"`},
		{"POST " + properties + "/batch/create", `{"inputs":[{"name":"tier",` + whole + `]}`, 201, `"Name":"tier"`},
		{"POST " + properties + "/batch/create", `{"inputs":[{"name":"more",` + whole + `,{"name":"Wrong",` + whole + `]}`, 400, `Property \"Wrong\" needs`},
		{"POST " + properties, `{`, 400, "Invalid input JSON"},
		{"POST " + properties + "/batch/create", `{`, 400, "Invalid input JSON"},
		{"GET " + properties, "", 200, `"name":"plan"`},
		{"GET /crm/v3/properties/deals", "", 200, `{"results":[]}`},
		{"POST /crm/v3/properties/deals", `{"name":"size",` + whole, 201, `"Name":"size"`},
		{"GET /crm/v3/properties/deals", "", 200, `{"results":[{"hasUniqueValue":false,"hidden":false,"label":"The size",`},
		{"POST " + upsertPath, `{"inputs":[{"id":"a@example.com","idProperty":"email","properties":{"plan":"x","tier":"y"}}]}`, 200, "COMPLETE"},
		{"POST " + upsertPath, `{"inputs":[{"id":"a@example.com","idProperty":"email","properties":{"more":"x"}}]}`, 400, "PROPERTY_DOESNT_EXIST"},
	})
	for _, missing := range []string{"label", "groupName", "type", "fieldType"} {
		body := strings.Replace(`{"name":"other",`+whole, `"`+missing+`"`, `"unknown"`, 1)
		checkExchanges(t, account, []exchange{{"POST " + properties, body, 400, `Property \"other\" needs`}})
	}
	_, list := ask(t, account, "GET", properties, "")
	assert.Less(t, strings.Index(list, `"name":"email"`), strings.Index(list, `"name":"plan"`))
	assert.Contains(t, list, `"name":"hs_object_id"`)
	assert.NotContains(t, list, `"name":"size"`)
	assert.Contains(t, stateOf(t, account), `"events":["pe1_bought","pe1_utk","pe1_id"]`)
}
