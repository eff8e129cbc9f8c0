package braze

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Braze's recommended ecommerce events
// (https://www.braze.com/docs/user_guide/data/activation/custom_data/recommended_events/ecommerce_events).
const (
	productViewed   = "ecommerce.product_viewed"
	cartUpdated     = "ecommerce.cart_updated"
	checkoutStarted = "ecommerce.checkout_started"
	orderPlaced     = "ecommerce.order_placed"
	orderCancelled  = "ecommerce.order_cancelled"
	orderRefunded   = "ecommerce.order_refunded"
)

// ecommerceOf returns the event object of an ecommerce event with one product or several.
func ecommerceOf(c call, p payload) (unit, error) {
	id, err := identityOf(p, true)
	if err != nil {
		return unit{}, err
	}
	properties, err := ecommerceProperties(p)
	if err != nil {
		return unit{}, err
	}
	base, err := c.baseMembers(id.withoutNulls(), p)
	if err != nil {
		return unit{}, err
	}
	members := append(base, event.Member{Key: "name", Value: p.Get("name")}, event.Member{Key: "properties", Value: properties})
	if c.mode == "update" || wholeAlias(p.Get("user_alias")).Exists() {
		members = append(members, event.Member{Key: "_update_existing_only", Value: event.NewBool(true)})
	}
	return unit{objects: []object{newObject("events", members)}}, nil
}

func ecommerceProperties(p payload) (event.Value, error) {
	var members []event.Member
	take := func(keys ...string) {
		for _, key := range keys {
			members = append(members, event.Member{Key: key, Value: p.Get(key)})
		}
	}
	take("currency", "source", "metadata")
	name := p.Get("name").Str()
	if name == productViewed {
		product := p.Get("product")
		if !product.Exists() {
			return event.Value{}, fault.Invalid("%s has one product: use the action ecommerceSingleProduct", name)
		}
		for key, v := range product.Members() {
			members = append(members, event.Member{Key: key, Value: v})
		}
		if types := p.Get("catalog_type"); types.Len() > 0 {
			members = append(members, event.Member{Key: "type", Value: types})
		}
		return event.NewObject(members), nil
	}
	if p.Get("products").Kind() != event.Array {
		return event.Value{}, fault.Invalid("%s has several products: use the action ecommerce", name)
	}
	members = append(members, event.Member{Key: "products", Value: productsOf(p.Get("products"))})
	take("total_value")
	switch name {
	case cartUpdated:
		take("cart_id", "action", "subtotal_value", "tax", "shipping")
	case checkoutStarted:
		take("checkout_id", "cart_id", "subtotal_value", "tax", "shipping")
	case orderPlaced:
		take("order_id", "total_discounts", "discounts", "cart_id", "subtotal_value", "tax", "shipping")
	case orderCancelled:
		take("order_id", "cancel_reason", "total_discounts", "discounts", "subtotal_value", "tax", "shipping")
	case orderRefunded:
		take("order_id", "total_discounts", "discounts")
	}
	return event.NewObject(members), nil
}

// productsOf returns products whose keys that Braze does not know are moved to metadata.
func productsOf(products event.Value) event.Value {
	items := make([]event.Value, 0, products.Len())
	for _, product := range products.Items() {
		var members, metadata []event.Member
		for key, v := range product.Members() {
			switch key {
			case "quantity", "product_id", "product_name", "variant_id", "price", "image_url", "product_url":
				members = append(members, event.Member{Key: key, Value: v})
			default:
				metadata = append(metadata, event.Member{Key: key, Value: v})
			}
		}
		if len(metadata) > 0 {
			members = append(members, event.Member{Key: "metadata", Value: event.NewObject(metadata)})
		}
		items = append(items, event.NewObject(members))
	}
	return event.NewArray(items)
}
