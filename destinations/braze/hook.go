package braze

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// chooseCatalog is the hook of upsertCatalogItem: it selects a catalog by its name or creates one
// (https://www.braze.com/docs/api/endpoints/catalogs/catalog_management/synchronous/post_create_catalog).
func chooseCatalog(ctx context.Context, in destination.HookInput) (destination.HookOutput, error) {
	if in.Inputs.Get("operation").Str() == "select" {
		name := in.Inputs.Get("selected_catalog_name")
		return catalogOutput(name, "the catalog is selected"), nil
	}
	var settings Settings
	settings.Decode(in.Settings)
	api, err := newAPI(settings, in.Client)
	if err != nil {
		return destination.HookOutput{}, err
	}
	name := in.Inputs.Get("created_catalog_name")
	fields := []event.Value{catalogField("id", event.NewString("string"))}
	for _, column := range in.Inputs.Get("columns").Items() {
		if key := column.Get("name").Str(); key != "id" {
			fields = append(fields, catalogField(key, column.Get("type")))
		}
	}
	catalog := event.NewObject([]event.Member{
		{Key: "name", Value: name}, {Key: "description", Value: in.Inputs.Get("description")}, {Key: "fields", Value: event.NewArray(fields)},
	})
	body := event.NewObject([]event.Member{{Key: "catalogs", Value: event.NewArray([]event.Value{catalog})}})
	if _, err = api.sendRequest(ctx, http.MethodPost, "/catalogs", body.AppendJSON(nil), 1); err != nil {
		return destination.HookOutput{}, err
	}
	return catalogOutput(name, "the catalog is created"), nil
}

func catalogOutput(name event.Value, message string) destination.HookOutput {
	return destination.HookOutput{Message: message, Outputs: event.NewObject([]event.Member{{Key: "catalog_name", Value: name}})}
}

func catalogField(name string, kind event.Value) event.Value {
	return event.NewObject([]event.Member{{Key: "name", Value: event.NewString(name)}, {Key: "type", Value: kind}})
}
