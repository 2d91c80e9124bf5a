"""`glane mine`: documents that nearly answer a query, and a teacher's scores to learn from."""
