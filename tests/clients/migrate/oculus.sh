# docs/recipes/migrate-from-oculus.md

# recipe: import
cat >agents.jsonl <<'END'
{"clientId":"agt_abc123","name":"refund-bot","secret":"osk_live_example-of-refund-bot","scopes":["stripe:customer:read"],"audiences":["https://refunds.example"]}
END
sealwright scope add stripe:customer:read --description "Read customers"
sealwright agent import agents.jsonl
# end of recipe

"$KIT/bin/python" -B "$folder/oculus.py"
