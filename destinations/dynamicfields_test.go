package destinations_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// choiceCase is what users may choose for a field, by the sandbox of the destination.
type choiceCase struct{ slug, action, field, payload, want string }

// choiceCases has a case for each dynamic field of each destination.
var choiceCases = []choiceCase{
	{"braze", "triggerCampaign", "campaign_id", "", "sandbox-campaign=A campaign of the sandbox"},
	{"braze", "triggerCanvas", "canvas_id", "", "sandbox-canvas=A canvas of the sandbox"},
	{"braze", "upsertCatalogItem", "onMappingSave.selected_catalog_name", "", "shoes=shoes"},
	{"braze", "upsertCatalogItem", "item", "", "price=price, in shoes"},
	{"facebook-custom-audiences", "sync", "retlOnMappingSave.existingAudienceId", "", "2384000=vip_buyers"},
	{"hubspot", "upsertContact", "hubspot_owner_id", "", "1=ana@example.com"},
	{"hubspot", "upsertContact", "properties", "", "email=The email firstname=The firstname …"},
	{"hubspot", "upsertCustomObjectRecord", "objectType", "", "p1_pets=Pets"},
	{"hubspot", "upsertCustomObjectRecord", "toObjectType", "", "p1_pets=Pets"},
	{"hubspot", "upsertCustomObjectRecord", "associationLabel", `{"objectType":"contact","toObjectType":"p1_pets"}`, "HUBSPOT_DEFINED:279=without a label USER_DEFINED:36=Partner"},
	{"hubspot", "customEvent", "event_name", "", "bought=The bought"},
	{"hubspot", "customEvent", "record_details.object_type", "", "p1_pets=Pets"},
	{"hubspot", "upsertObject", "object_details.object_type", "", "p1_pets=Pets"},
	{"hubspot", "upsertObject", "object_details.id_field_name", `{"object_details":{"object_type":"contact"}}`, "email=The email hs_object_id=The hs object id"},
	{"hubspot", "upsertObject", "object_details.property_group", `{"object_details":{"object_type":"deals"}}`, "deals_information=Information"},
	{"hubspot", "upsertObject", "properties", `{"object_details":{"object_type":"contact"}}`, "email=The email firstname=The firstname …"},
	{"hubspot", "upsertObject", "sensitive_properties", `{"object_details":{"object_type":"contact"}}`, "email=The email firstname=The firstname …"},
	{"hubspot", "upsertObject", "associations.object_type", "", "p1_pets=Pets"},
	{"hubspot", "upsertObject", "associations.id_field_name", `{"associations":[{"object_type":"deals"},{"object_type":"contact"}]}`, "email=The email hs_object_id=The hs object id"},
	{"hubspot", "upsertObject", "associations.association_label", `{"object_details":{"object_type":"contact"},"associations":[{"object_type":"deals"}]}`, "HUBSPOT_DEFINED:279=without a label USER_DEFINED:36=Partner"},
	{"hubspot", "upsertObject", "dissociations.object_type", "", "p1_pets=Pets"},
	{"hubspot", "upsertObject", "dissociations.id_field_name", `{"dissociations":[{"object_type":"contact"}]}`, "email=The email hs_object_id=The hs object id"},
	{"hubspot", "upsertObject", "dissociations.association_label", `{"object_details":{"object_type":"contact"},"dissociations":[{"object_type":"deals"}]}`, "HUBSPOT_DEFINED:279=without a label USER_DEFINED:36=Partner"},
	{"hubspot", "upsertObject", "list_details.list_name", "", "VIP=VIP"},
	{"klaviyo", "upsertProfile", "list_id", "", "LIST1=Newsletter"},
	{"klaviyo", "removeProfile", "list_id", "", "LIST1=Newsletter"},
	{"klaviyo", "subscribeProfile", "list_id", "", "LIST1=Newsletter"},
	{"klaviyo", "unsubscribeProfile", "list_id", "", "LIST1=Newsletter"},
	{"linkedin-conversions", "streamConversion", "onMappingSave.adAccountId", "", "urn:li:sponsoredAccount:517=Acme urn:li:sponsoredAccount:518=Acme Labs, next p2"},
	{"linkedin-conversions", "streamConversion", "onMappingSave.campaignId", `{"adAccountId":"urn:li:sponsoredAccount:517"}`, "337=Spring"},
	{"linkedin-conversions", "streamConversion", "onMappingSave.conversionRuleId", `{"adAccountId":"urn:li:sponsoredAccount:517"}`, "789123=Purchases"},
	{"sendgrid", "updateUserProfile", "customFields", "", "Plan=Plan Visits=Visits"},
	{"sendgrid", "sendEmail", "domain", "", "example.com=example.com mail.example.com=mail.example.com"},
	{"sendgrid", "sendEmail", "template_id", "", "d-1=Welcome d-2=Receipt, next t2"},
	{"sendgrid", "sendEmail", "ip_pool_name", "", "marketing=marketing receipts=receipts"},
	{"sendgrid", "sendEmail", "group_id", "", "7=News"},
	{"tiktok-audiences", "addUser", "selected_advertiser_id", "", "7001=Acme"},
	{"tiktok-audiences", "addUser", "audience_id", `{"selected_advertiser_id":"7001"}`, "tt-aud-1=Best, next 2"},
	{"tiktok-audiences", "removeUser", "selected_advertiser_id", "", "7001=Acme"},
	{"tiktok-audiences", "removeUser", "audience_id", `{"selected_advertiser_id":"7001"}`, "tt-aud-1=Best, next 2"},
	{"tiktok-audiences", "createAudience", "selected_advertiser_id", "", "7001=Acme"},
}

// choiceSettings are the settings of destinations that need some.
var choiceSettings = map[string]string{
	"braze":                     `{"endpoint":"https://rest.iad-01.braze.com","api_key":"k"}`,
	"facebook-custom-audiences": `{"retlAdAccountId":"act_1"}`,
	"klaviyo":                   `{"api_key":"k"}`,
	"sendgrid":                  `{"sendGridApiKey":"k"}`,
	"tiktok-audiences":          `{"advertiser_ids":["7001"]}`,
}

// TestDynamicFieldsHaveChoices fetches the choices of each dynamic field of each destination from its sandbox, and checks that forms and
// definitions agree about which fields these are.
func TestDynamicFieldsHaveChoices(t *testing.T) {
	plans := map[string]*runtime.Plan{}
	known := map[string]bool{}
	for _, c := range choiceCases {
		if plans[c.slug] == nil {
			plans[c.slug] = choicePlan(t, c.slug)
		}
		known[c.slug+" "+c.action+" "+c.field] = true
		payload := event.NewObject(nil)
		if c.payload != "" {
			payload = event.MustParse(c.payload)
		}
		got, err := plans[c.slug].Choices(t.Context(), c.action, c.field, "", "", payload)
		if assert.NoError(t, err, "%s %s %s", c.slug, c.action, c.field) {
			assert.Equal(t, c.want, choicesText(got), "%s %s %s", c.slug, c.action, c.field)
		}
	}
	for _, entry := range sharedEntries(t) {
		for _, a := range entry.Definition.Actions {
			for field := range a.Choices {
				assert.True(t, known[entry.Definition.Slug+" "+a.Key+" "+field], "choiceCases has no case for %s %s %s", entry.Definition.Slug, a.Key, field)
			}
			for _, field := range append(markedFields(a.Fields, ""), hookMarks(a)...) {
				assert.Contains(t, a.Choices, field, "%s %s: the field is dynamic", entry.Definition.Slug, a.Key)
			}
		}
	}
}

// choicePlan returns a plan of a destination whose remote is its sandbox, which has a catalog, a list and an event.
func choicePlan(t *testing.T, slug string) *runtime.Plan {
	entry, err := sharedRegistry(t).Find(slug)
	require.NoError(t, err)
	handler := entry.Plugin.Sandbox.New(map[string][]string{"catalogs": {"shoes"}, "owner": {"ana@example.com"}})
	settings := choiceSettings[slug]
	if settings == "" {
		settings = "{}"
	}
	in := config.InstanceOf(event.MustParse(fmt.Sprintf(`{"id":"i","settings":%s,"subscriptions":[]}`, settings)))
	plan, err := runtime.New(entry.Plugin, entry.Definition, in, runtime.Host{Transport: sandbox.Transport(handler), Token: func(context.Context, string, string) (string, error) { return "t", nil }})
	require.NoError(t, err)
	if slug == "hubspot" {
		for path, body := range map[string]string{
			"/crm/v3/lists": `{"name":"VIP","objectTypeId":"0-1","processingType":"MANUAL"}`, "/events/v3/event-definitions": `{"name":"bought","label":"Bought","primaryObject":"contact"}`,
		} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer t")
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	return plan
}

// choicesText returns the first choices and the next page.
func choicesText(page destination.Choices) string {
	var texts []string
	for i, c := range page.Choices {
		if i == 2 && len(page.Choices) > 3 {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, c.Value+"="+c.Label)
	}
	text := strings.Join(texts, " ")
	if page.NextPage != "" {
		text += ", next " + page.NextPage
	}
	return text
}

// markedFields returns the keys of the fields that forms show as dynamic.
func markedFields(fields fieldschema.Fields, prefix string) (keys []string) {
	for _, f := range fields {
		if dynamic, _ := f.Raw.Get("dynamic").Bool(); dynamic {
			keys = append(keys, prefix+f.Key)
		}
		keys = append(keys, markedFields(f.Properties, prefix+f.Key+".")...)
	}
	return keys
}

func hookMarks(a destination.ActionDefinition) (keys []string) {
	for _, h := range a.Hooks {
		keys = append(keys, markedFields(h.Inputs, h.Name+".")...)
	}
	return keys
}
