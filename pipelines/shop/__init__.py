"""The product recommender of a simulated shop: will this user click on this item in this list? All data is simulated."""
